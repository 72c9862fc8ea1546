package dialguard

import (
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every spelling of an address, by what permits it.
var (
	public  = []string{"8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8"}
	local   = []string{"127.0.0.1", "127.9.9.9", "::1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd12::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1"}
	special = []string{
		"192.0.2.1", "198.18.0.1", "240.0.0.1", "2001:db8::1", "2002:808:808::1", "64:ff9b:1::808:808", "fec0::1", "::808:808", "2001::1",
		"2002:7f00:1::",
	}
	translated = []string{"64:ff9b::808:808", "64:ff9b::7f00:1"}
	nobody     = []string{
		"169.254.169.254", "169.254.170.2", "169.254.0.1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16",
		"192.0.0.192", "0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "ff02::1", "255.255.255.255",
		"::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::ffff:100.100.100.200", "::169.254.169.254",
		"64:ff9b::a9fe:a9fe", "64:ff9b::169.254.169.254", "64:ff9b:1::a9fe:a9fe", "64:ff9b:1:a9fe:a9:fe00::", "64:ff9b::a83f:8110", "2002:a9fe:a9fe::1", "2002:6464:64c8::",
	}
)

func TestAddresses(t *testing.T) {
	t.Parallel()
	everything := prefixes("0.0.0.0/0", "::/0")
	for name, c := range map[string]struct {
		Config
		allowed [][]string
		blocked [][]string
	}{
		"https":                {Config{}, [][]string{public}, [][]string{local, special, translated, nobody}},
		"https, one port":      {Config{Port: 443}, nil, [][]string{public, local, special, nobody}},
		"https, private":       {Config{Private: true}, [][]string{public, local, translated}, [][]string{special, nobody}},
		"private, one port":    {Config{Private: true, Port: 443}, [][]string{local, translated}, [][]string{public, special, nobody}},
		"http, private":        {Config{Private: true, Plain: true}, [][]string{local}, [][]string{public, special, translated, nobody}},
		"http, all networks":   {Config{Networks: everything, Plain: true}, [][]string{public, local, special}, [][]string{nobody}},
		"https, all networks":  {Config{Networks: everything, Private: true}, [][]string{public, local, special}, [][]string{nobody}},
		"https, one network":   {Config{Networks: prefixes("10.1.0.0/16")}, [][]string{public, {"10.1.2.3", "::ffff:10.1.2.3"}}, [][]string{{"10.2.0.1", "127.0.0.1"}, special, nobody}},
		"http, one network":    {Config{Networks: prefixes("10.1.0.0/16"), Plain: true}, [][]string{{"10.1.2.3"}}, [][]string{public, {"10.2.0.1", "127.0.0.1"}, special, nobody}},
		"private, one network": {Config{Private: true, Networks: prefixes("198.18.0.0/15")}, [][]string{local, {"198.18.0.1"}}, [][]string{{"192.0.2.1"}, nobody}},
	} {
		g := New(c.Config)
		for _, list := range c.allowed {
			for _, a := range list {
				require.NoError(t, dial(g, a, "8443"), "%s: %s", name, a)
			}
		}
		for _, list := range c.blocked {
			for _, a := range list {
				require.ErrorIs(t, dial(g, a, "8443"), ErrBlocked, "%s: %s", name, a)
			}
		}
	}
	require.NoError(t, dial(New(Config{Port: 443}), "8.8.8.8", "443"))
	require.ErrorIs(t, New(Config{}).Control("unix", "/run/x", nil), ErrBlocked)
}

func TestNever(t *testing.T) {
	t.Parallel()
	all := New(Config{Networks: prefixes("0.0.0.0/0", "::/0")})
	for _, a := range nobody {
		require.ErrorIs(t, dial(all, a, "443"), ErrNever, a)
	}
}

// dial asks the guard as a net.Dialer does.
func dial(g *Guard, addr, port string) error {
	network := "tcp4"
	if strings.Contains(addr, ":") {
		network = "tcp6"
	}
	return g.Control(network, net.JoinHostPort(addr, port), nil)
}
