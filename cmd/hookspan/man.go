package main

import (
	"strings"

	"github.com/alecthomas/kong"
)

// manCmd prints the page that packages install as hookspan(1). It is made of the same model as the
// help, so it cannot say anything else.
type manCmd struct{}

func (manCmd) Run(e *env, k *kong.Context) error {
	out := &printer{w: e.stdout}
	out.printf(".TH HOOKSPAN 1 \"\" \"Hookspan %s\"\n.SH NAME\nhookspan \\- %s\n", roff(version()), roff(strings.ToLower(k.Model.Help[:1])+k.Model.Help[1:]))
	out.printf(".SH SYNOPSIS\n.B hookspan\n.I verb\n[flags]\n")
	out.printf(".SH DESCRIPTION\nHookspan receives the webhooks of prediction providers, keeps them in NATS JetStream, and gives them to consumers.\n" +
		".B hookspan serve\nruns the bridge; the other verbs ask a bridge that runs, or work on its files.\n")
	out.printf(".SH VERBS\n")
	for _, verb := range k.Model.Leaves(true) {
		out.printf(".SS %s\n%s\n", roff(verb.FullPath()), roff(verb.Help))
		for _, p := range verb.Positional {
			manEntry(out, p.Summary(), p.Help)
		}
		for _, f := range verb.Flags {
			if !f.Hidden {
				manEntry(out, f.String(), f.Help)
			}
		}
	}
	out.printf(".SH FLAGS\nEvery verb has these.\n")
	for _, f := range k.Model.Flags {
		manEntry(out, f.String(), f.Help)
	}
	out.printf(".SH FILES\n.TP\n.I /etc/hookspan/hookspan.yaml\nThe configuration of the service.\n.TP\n.I /var/lib/hookspan\nIts data.\n")
	out.printf(".SH EXIT STATUS\n0 done, 1 failed, 2 called wrongly.\n")
	out.printf(".SH SEE ALSO\nhttps://github.com/hookspan/hookspan/tree/main/docs\n")
	return out.err
}

func manEntry(out *printer, name, help string) {
	out.printf(".TP\n.B %s\n%s\n", roff(name), roff(help))
}

// roff is the text in a page of a manual, where a backslash, a hyphen and a point or an apostrophe
// at the beginning of a line mean something else.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "\n", " ").Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}
