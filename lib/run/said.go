package run

// SaidError is the failure of a program that was run for this one, and that has said on stderr why
// it failed. A caller adds nothing and exits with the same status.
type SaidError struct{ Status int }

func (e *SaidError) Error() string { return "the reason is on stderr" }
