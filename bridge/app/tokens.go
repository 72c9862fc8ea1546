package app

import (
	"go.uber.org/zap"

	"github.com/hookspan/hookspan/bridge/config"
	"github.com/hookspan/hookspan/bridge/internal/admin"
)

// readTokens looks up the tokens, nil when none are configured. The error tells of those that
// cannot be used, and the tokens are the others.
func readTokens(cfg *config.Config, getenv func(string) (string, bool)) ([]admin.Token, error) {
	if len(cfg.Admin.Tokens) == 0 {
		return nil, nil
	}
	secrets, err := cfg.Admin.ReadTokens(getenv)
	usable := []admin.Token{}
	for i, t := range cfg.Admin.Tokens {
		if secrets[i] != nil {
			usable = append(usable, admin.NewToken(t.Name, t.Scopes, secrets[i]))
		}
	}
	return usable, err
}

// readTokens puts the tokens of a configuration in force, whatever else of it cannot be used:
// one that was removed must not go on working. Of a file with errors the list is not known, so
// the running one is read again.
func (r *reloader) readTokens(cfg *config.Config) {
	if r.operators == nil || !r.running.Has(config.RoleAdmin) {
		return
	}
	tokens, err := readTokens(cfg, r.getenv)
	if err != nil {
		r.log.Error("some tokens cannot be used, so they do not work any more", zap.Error(err))
	}
	r.operators.SetTokens(tokens)
	r.running.Admin.Tokens = cfg.Admin.Tokens
}
