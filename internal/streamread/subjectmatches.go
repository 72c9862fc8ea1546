package streamread

import "strings"

// SubjectMatches reports whether the subject pattern matches the subject: '*' is any one token,
// '>' at the end is one or more.
func SubjectMatches(pattern, subject string) bool {
	for {
		p, morePattern, patternGoesOn := strings.Cut(pattern, ".")
		if p == ">" && !patternGoesOn {
			return subject != ""
		}
		s, moreSubject, subjectGoesOn := strings.Cut(subject, ".")
		if s == "" || p != "*" && p != s {
			return false
		}
		if !patternGoesOn || !subjectGoesOn {
			return patternGoesOn == subjectGoesOn
		}
		pattern, subject = morePattern, moreSubject
	}
}
