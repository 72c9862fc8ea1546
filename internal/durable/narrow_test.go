package durable

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIntersect(t *testing.T) {
	t.Parallel()
	for i, c := range []struct{ a, b, want string }{
		{"a.b", "a.b", "a.b"},
		{"a.b", "a.c", ""},
		{"a.*", "a.c", "a.c"},
		{"*.b", "a.*", "a.b"},
		{">", "a.*.c", "a.*.c"},
		{"a.>", "a", ""},
		{"a.>", "a.b.c", "a.b.c"},
		{"a.*.>", "a.b.>", "a.b.>"},
		{"a.b", "a.b.c", ""},
		{"*.*", "*.>", "*.*"},
	} {
		for _, pair := range [][2]string{{c.a, c.b}, {c.b, c.a}} {
			both, ok := intersect(pair[0], pair[1])
			require.Equal(t, c.want != "", ok, fmt.Sprint(i, pair))
			require.Equal(t, c.want, both, fmt.Sprint(i, pair))
		}
	}
}
