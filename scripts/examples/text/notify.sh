# The message that would be sent, with the audit's finding if there was an audit.
set -eu
{
	echo "The report is ready: $(grep -c ' t$' /input/report/report.txt) lines of figures."
	cat /input/audit/audit.txt 2>/dev/null || echo "It was not audited."
} >/output/message.txt
