# The message to be sent, with the result of the audit if there was one.
set -eu
{
	echo "The report is ready: $(grep -c ' t$' /input/report/report.txt) lines of figures."
	cat /input/audit/audit.txt 2>/dev/null || echo "It was not audited."
} >/output/message.txt
