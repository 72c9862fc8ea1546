package archive

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A family of hosts has the hosts below it, and no other whose name looks so.
func TestFamiliesOfHosts(t *testing.T) {
	t.Parallel()
	g := newGuard(Config{Hosts: []string{"fal.media", "*.FAL.media", "*.bfl.ai"}})
	for address, permitted := range map[string]bool{
		"https://fal.media/a.png":             true,
		"https://v3b.fal.media/a.png":         true,
		"https://V3B.Fal.Media/a.png":         true,
		"https://delivery.eu1.bfl.ai/a.png":   true,
		"https://bfl.ai/a.png":                false,
		"https://evilfal.media/a.png":         false,
		"https://fal.media.evil.example/a":    false,
		"https://fal.media@evil.example/a":    false,
		"https://evil.example/?h=.fal.media":  false,
		"https://evil.example/.fal.media":     false,
		"http://v3b.fal.media/a.png":          false,
		"https://.fal.media/a.png":            false,
		"https://v3b.fal.media./a.png":        false,
		"https://v3b.fal.media%2eevil.com/":   false,
		"https://127.0.0.1/?x=v3b.fal.media/": false,
	} {
		u, err := readAddress(address)
		if err != nil {
			require.False(t, permitted, address)
			continue
		}
		require.Equal(t, permitted, g.check(u) == nil, address)
	}
}
