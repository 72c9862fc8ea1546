package exec

import (
	"fmt"
	"strings"

	"github.com/hookspan/hookspan/internal/printable"
)

const (
	maxHead = 4 << 10
	// maxTail leaves room in a note for the line between head and tail.
	maxTail = 12<<10 - 64
	// maxLine bounds the last line in the text of an error.
	maxLine = 200
)

// output keeps the beginning and the end of what is written to it. Write never
// fails and never waits, so that no command is blocked by a full pipe.
type output struct {
	head, tail []byte
	dropped    int64 // bytes between head and tail
}

func (o *output) Write(p []byte) (int, error) {
	n := len(p)
	free := min(maxHead-len(o.head), n)
	o.head = append(o.head, p[:free]...)
	p = p[free:]
	if late := len(p) - maxTail; late > 0 {
		o.drop(len(o.tail))
		o.dropped += int64(late)
		p = p[late:]
	}
	o.tail = append(o.tail, p...)
	// The tail is moved only when it is twice too long, so that many short writes cost no more
	// than few long ones.
	if len(o.tail) > 2*maxTail {
		o.drop(len(o.tail) - maxTail)
	}
	return n, nil
}

func (o *output) drop(n int) {
	o.tail = append(o.tail[:0], o.tail[n:]...)
	o.dropped += int64(n)
}

func (o *output) String() string {
	tail, dropped := o.tail, o.dropped
	if late := len(tail) - maxTail; late > 0 {
		tail, dropped = tail[late:], dropped+int64(late)
	}
	if dropped == 0 {
		return string(o.head) + string(tail)
	}
	return fmt.Sprintf("%s\n[%d bytes left out]\n%s", o.head, dropped, tail)
}

// lastLine is the last line that is not empty, where most programs write what was wrong.
func (o *output) lastLine() string {
	text := strings.TrimSpace(o.String())
	return printable.Truncate(strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:]), maxLine)
}
