# Lengths and decision counts of C functions, from source in the house format: a definition's braces stand alone in
# column 0. Prints "LINES DECISIONS NESTING FILE:LINE NAME" for each; a table (struct initialiser) is none.
function reset() { inside = 0 }
FNR == 1 { reset(); pending = "" }
/^[A-Za-z_].*\)?$/ && !inside { if ($0 !~ /[;={]$/) pending = pending " " $0; else pending = "" }
/^[ \t]+.*\)( __attribute__.*)?$/ && !inside && pending != "" { pending = pending " " $0 }
/^\{$/ && !inside && pending ~ /\(/ {
	inside = 1; start = FNR; decisions = 1; deepest = 0
	name = pending; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name); pending = ""
	next
}
/^}/ && inside {
	print FNR - start + 1, decisions, deepest, FILENAME ":" start, name
	reset(); next
}
inside {
	line = $0
	gsub(/"([^"\\]|\\.)*"/, "", line); gsub(/'([^'\\]|\\.)*'/, "", line); gsub(/\/\*.*\*\//, "", line)
	n = gsub(/(^|[^A-Za-z_])(if|for|while|switch)[ (]/, "&", line) + gsub(/&&|\|\||\?/, "&", line)
	decisions += n
	if (line ~ /^\t+(if|for|while|do|switch)[ ({]/ || line ~ /^\t+} else/) {
		match(line, /^\t+/)
		if (RLENGTH > deepest) deepest = RLENGTH
	}
}
/^$/ && !inside { pending = "" }
