package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/mattn/go-runewidth"
	"golang.org/x/sys/unix"
)

// progressBar is one line of a terminal, which is drawn again and again.
type progressBar struct {
	w     io.Writer
	width int // of the terminal in columns, 0 when unknown
	drawn bool
}

const (
	barWidth  = 30
	clearLine = "\r\x1b[K"
)

// newProgressBar returns a bar that fits into the terminal that w may be.
func newProgressBar(w io.Writer) *progressBar {
	b := &progressBar{w: w}
	if f, ok := w.(*os.File); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil {
			b.width = int(size.Col)
		}
	}
	return b
}

// draw shows a share of 0 to 1, and printable words. What does not fit into the line is cut off:
// the rest of a line that was broken could not be cleared.
func (b *progressBar) draw(share float64, words string) error {
	b.drawn = true
	done := int(share * barWidth)
	line := fmt.Sprintf("[%s%s] %3.0f %%  %s", strings.Repeat("#", done), strings.Repeat(".", barWidth-done), 100*share, words)
	if b.width > 0 {
		line = runewidth.Truncate(line, b.width-1, "…")
	}
	_, err := io.WriteString(b.w, clearLine+line)
	return err
}

func (b *progressBar) clear() {
	if b.drawn {
		_, _ = io.WriteString(b.w, clearLine) // a lost progress bar is no error
	}
}
