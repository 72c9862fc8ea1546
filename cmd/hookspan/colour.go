package main

// tone is how good a state is. Its colour is of a terminal, and its words always say the same.
type tone int

const (
	plain tone = iota
	good
	waits
	bad
)

// colour has those that a terminal draws in its own shades, as ECMA-48 sets them.
var colour = map[tone]string{good: "\x1b[32m", waits: "\x1b[33m", bad: "\x1b[31m"}

const noColour = "\x1b[0m"

// toneOf is the tone of a state of a consumer, of an event with a consumer, of a job, or of a
// prediction. What an
// operator decided only waits.
func toneOf(state string) tone {
	switch state {
	case "up_to_date", "handled", "settled", "done", "completed":
		return good
	case "missing", "orphaned", "blocked", "failing", "dead_letter", "dead_not_kept", "failed":
		return bad
	case "not_meant", "before_start", "cancelled":
		return plain
	}
	return waits
}

// toned is a text in a tone.
type toned struct {
	tone tone
	text string
}

func (t toned) String() string { return t.text }

// tint returns a text, which is printable, in the colour of its tone.
func (p *printer) tint(t tone, text string) string {
	if t == plain || !p.colours {
		return text
	}
	return colour[t] + text + noColour
}

// look returns whether standard output is a terminal that can be cleared, and whether colours
// are wanted there: see https://no-color.org.
func look(terminal bool, getenv func(string) (string, bool)) (screen, colours bool) {
	kind, _ := getenv("TERM")
	screen = terminal && kind != "dumb"
	unwanted, _ := getenv("NO_COLOR")
	return screen, screen && unwanted == ""
}
