package config

import "strings"

// DefaultAdminListen is the address of the admin listener when the file names none. When the
// address is taken, the bridge uses a free port beside it.
const DefaultAdminListen = "127.0.0.1:8081"

// Admin is the listener for operators: health, metrics and, with the role admin, the API.
type Admin struct {
	// Listen is the address to listen on; empty is no listener. Beyond loopback health and
	// metrics are open to whoever reaches the address, and the API needs tokens. Default
	// 127.0.0.1:8081, or a free port when that is taken.
	Listen *string `yaml:"listen"`
	// Hosts are the names that the listener may be called by beside localhost, such as
	// ops.example.com, without scheme and port. A request under another name is answered
	// 403. Default none.
	Hosts []string `yaml:"hosts"`
	// Tokens are who may call the API. With one the API needs a token, also on loopback.
	// Without any the API answers on loopback only, and everybody there. Default none.
	Tokens []Token `yaml:"tokens"`
	// TLS has the listener speak HTTPS and nothing else. Default neither file.
	TLS Certificate `yaml:"tls"`
}

func (a Admin) check(found *Checker) {
	if a.Listen != nil && *a.Listen != "" && !isAddress(*a.Listen) {
		found.Fail("admin.listen", "use a host and a port, such as %s, or nothing", DefaultAdminListen)
	}
	for _, name := range a.Hosts {
		if strings.TrimSuffix(name, ".") == "" || strings.ContainsAny(name, ":/@*[] \t\r\n") {
			found.Fail("admin.hosts", "%.64q is no name of a host: write one such as ops.example.com, without scheme and port", name)
		}
	}
	a.checkTokens(found)
	found.together("admin.tls", "cert and key", a.TLS.Cert, a.TLS.Key)
}
