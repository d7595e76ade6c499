# What pipex-trace prints of spans, which are read as lines: see there.

def value($key): first(.[]? | select(.key == $key) | .value | .stringValue // .intValue) // "";
def left($n): tostring | (" " * ($n - length) // "") + .;
def seconds: . / 1e6 | round | "\(. / 1000 | floor).\(. % 1000 + 1000 | tostring[1:])" | left(9);
def words: [.name, (.attributes | value("pipex.of"))] | join(" ") | gsub("[[:cntrl:]]"; "?") | gsub(" +$"; "");
# The time that is not that of a part, though parts may overlap, and last longer.
def own($parts): .start as $from | .end as $to
  | reduce ($parts | sort_by(.start)[]) as $p ({at: $from, own: 0};
      .own += ([([$p.start, $to] | min) - .at, 0] | max) | .at = ([.at, ([$p.end, $to] | min)] | max))
  | .own + $to - .at;

[inputs | fromjson? | .resourceSpans[]? | (.resource.attributes | value("process.executable.name")) as $program
  | .scopeSpans[]?.spans[]? | . + {$program, start: (.startTimeUnixNano | tonumber), end: (.endTimeUnixNano | tonumber)}]
| unique_by(.spanId)
| if length == 0 then "" | halt_error(5) else . end
| INDEX(.spanId) as $known
| (reduce .[] as $s ({}; .[$s.parentSpanId // ""] += [$s])) as $within
| def tree($began; $level):
    "\(.start - $began | seconds) \(.end - .start | seconds)  \("  " * $level // "")\(words)",
    if $level + 1 < $depth then $within[.spanId] // [] | sort_by(.start)[] | tree($began; $level + 1) else empty end;
  if $sum then
    map({part: (if .name == .program or .program == "" then .name else "\(.program): \(.name)" end),
      own: own($within[.spanId] // [])})
    | group_by(.part) | map({part: .[0].part, own: (map(.own) | add), n: length}) | sort_by(-.own)
    | "\("SECONDS" | left(9)) \("TIMES" | left(6))  PART", (.[] | "\(.own | seconds) \(.n | left(6))  \(.part)")
  else
    group_by(.traceId) | sort_by(map(.start) | min)[]
    | (map(.start) | min) as $began
    | "trace \(.[0].traceId), \((map(.end) | max) - $began | seconds | gsub(" "; "")) s",
      "\("FROM" | left(9)) \("TOOK" | left(9))  PART",
      (map(select($known[.parentSpanId // ""] | not)) | sort_by(.start)[] | tree($began; 0))
  end
