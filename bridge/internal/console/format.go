package console

import (
	"fmt"
	"html/template"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/hookspan/hookspan/internal/printable"
)

// maxText is how much of a stranger's text a page shows in a row, in runes.
const maxText = 200

// funcs are what templates can call. Those that return template.HTML escape what they are given.
var funcs = template.FuncMap{
	"asset":      asset,
	"text":       text,
	"whole":      printable.String,
	"count":      count,
	"about":      about,
	"size":       size,
	"seconds":    seconds,
	"percent":    percent,
	"when":       when,
	"due":        due,
	"prediction": predictionPath,
	"filePath":   filePath,
	"thumbPath":  thumbPath,
	"escape":     url.PathEscape,
	"spark":      spark,
	"bars":       bars,
	"words":      words,
	"sentence":   sentence,
	"prose":      prose,
	"tone":       tone,
	"add":        func(a, b int) int { return a + b },
	"float":      toFloat,
	"dict":       dict,
	"query":      query,
	"plural":     plural,
	"why":        why,
	"remedy":     remedyOf,
	"auditWords": auditWords,
	"setting":    setting,
	"quoted":     quoted,
	"failedOf":   failedOf,
	"points":     points,
	"worse":      worse,
	"previous":   func(n uint64) uint64 { return n - min(n, 1) },
	"liveKept":   func() int { return liveKept },
	"liveShown":  func() int { return liveRate },
	"deadCause":  deadCause,
	"keptCause":  keptCause,
	"lower":      lower,
	"shortType":  shortType,
	"after":      after,
	"term":       term,
}

// text returns a stranger's text for one row: without control and bidirectional characters,
// and cut.
func text(s any) string {
	t := fmt.Sprint(s)
	if utf8.RuneCountInString(t) > maxText {
		t = string([]rune(t)[:maxText]) + "…"
	}
	return printable.String(t)
}

// count writes a number with thin spaces between thousands.
func count(n any) string {
	if p, ok := n.(*int); ok && p != nil {
		n = *p
	}
	digits := fmt.Sprint(n)
	sign := ""
	if rest, negative := strings.CutPrefix(digits, "-"); negative {
		sign, digits = "-", rest
	}
	var out strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			out.WriteByte(',')
		}
		out.WriteRune(d)
	}
	return sign + out.String()
}

// about writes a number that moves on while somebody reads it: not exactly above 10,000.
func about(n any) string {
	f := toFloat(n)
	switch {
	case f >= 1e6:
		return "about " + strconv.FormatFloat(math.Round(f/1e5)/10, 'f', -1, 64) + " M"
	case f > 10_000:
		return "about " + count(int64(math.Round(f/1000)*1000))
	}
	return count(int64(f))
}

func toFloat(n any) float64 {
	f, err := strconv.ParseFloat(fmt.Sprint(n), 64)
	if err != nil {
		return 0
	}
	return f
}

// size writes a number of bytes.
func size(n any) string {
	f := toFloat(n)
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if f < 1024 {
			if unit == "B" || f >= 100 {
				return fmt.Sprintf("%.0f %s", f, unit)
			}
			return fmt.Sprintf("%.1f %s", f, unit)
		}
		f /= 1024
	}
	return fmt.Sprintf("%.1f TiB", f)
}

// seconds writes a number of seconds, or a duration.
func seconds(n any) string {
	if d, ok := n.(time.Duration); ok {
		n = d.Seconds()
	}
	f := toFloat(n)
	switch {
	case f < 0.001:
		return "0 ms"
	case f < 1:
		return fmt.Sprintf("%.0f ms", f*1000)
	case f < 10:
		return fmt.Sprintf("%.1f s", f)
	}
	return span(time.Duration(f * float64(time.Second)))
}

func percent(share any) string {
	f := toFloat(share) * 100
	if f > 0 && f < 10 {
		return fmt.Sprintf("%.1f %%", f)
	}
	return fmt.Sprintf("%.0f %%", f)
}

// span writes a length of time in its one or two largest units.
func span(d time.Duration) string {
	d = d.Abs()
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 24*time.Hour:
		h, m := int(d.Hours()), int(d.Minutes())%60
		if m == 0 || h >= 10 {
			return fmt.Sprintf("%d h", h)
		}
		return fmt.Sprintf("%d h %d min", h, m)
	}
	return fmt.Sprintf("%d d", int(d.Hours())/24)
}

// when writes a time of the past as how long ago it was. The script of the page keeps it true;
// its title is the time itself.
func when(t time.Time) template.HTML { return timeElement(t, "ago") }

// due writes a time to come as how long it takes until then.
func due(t time.Time) template.HTML { return timeElement(t, "in") }

func timeElement(t time.Time, way string) template.HTML {
	if t.IsZero() {
		return `<span class="mute">–</span>`
	}
	exact := t.UTC().Format(time.RFC3339)
	words := span(time.Since(t)) + " ago"
	if time.Until(t) > 0 {
		words = "in " + span(time.Until(t))
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s" data-way="%s">%s</time>`, exact, exact, way, words)) //nolint:gosec // four texts of our own
}

// predictionPath returns the path of a prediction's page. A browser takes an id of dots for a
// step in a path.
func predictionPath(source, id string) string {
	if strings.Trim(id, ".") == "" {
		return "/predictions/" + url.PathEscape(source) + "?id=" + url.QueryEscape(id)
	}
	return "/predictions/" + url.PathEscape(source) + "/" + url.PathEscape(id)
}

// plural writes a number before the word for one, or for several.
func plural(n any, one, several string) string {
	if fmt.Sprint(n) == "1" {
		return "1 " + one
	}
	return count(n) + " " + several
}

// words makes a token of the API readable, also one that a stranger chose.
func words(token any) string { return strings.ReplaceAll(text(token), "_", " ") }

// tones are what a state is shown as: "good", "busy", "warn", "bad" or "mute".
var tones = map[string]string{
	"ok": "good", "degraded": "warn", "failing": "bad",
	"completed": "good", "failed": "bad", "canceled": "mute", "processing": "busy", "created": "busy",
	"up_to_date": "good", "behind": "busy", "waiting": "warn", "paused": "mute", "blocked": "bad", "missing": "bad", "orphaned": "warn", "unread": "bad",
	"handled": "good", "settled": "good", "dead_letter": "bad", "dead_not_kept": "warn",
	"done": "good", "cancelled": "mute", "running": "busy", "queued": "busy", "counting": "busy",
	"stored": "good", "pending": "warn", "expired": "bad",
	"warning": "warn", "error": "bad", "info": "mute", "problem": "bad", "note": "mute",
	"safe": "good", "fair": "warn", "unsafe": "bad",
}

func tone(state any) string {
	if t, ok := tones[fmt.Sprint(state)]; ok {
		return t
	}
	return "mute"
}

// dict makes the argument of a part of names and values in turn.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict takes names and values in turn, and got %d of them", len(pairs))
	}
	out := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("a name of dict is a text, and no %T", pairs[i])
		}
		out[name] = pairs[i+1]
	}
	return out, nil
}

// query writes names and values in turn as a query, without those that are empty.
func query(pairs ...any) template.URL {
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if value := fmt.Sprint(pairs[i+1]); value != "" {
			values.Set(fmt.Sprint(pairs[i]), value)
		}
	}
	return template.URL("?" + values.Encode()) //nolint:gosec // Encode escapes
}
