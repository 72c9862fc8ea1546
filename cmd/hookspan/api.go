package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hookspan/hookspan/bridge/app"
	"github.com/hookspan/hookspan/bridge/client"
	"github.com/hookspan/hookspan/bridge/config"
)

// apiFlag is shared by the verbs that call a running bridge.
type apiFlag struct {
	bridgeFlag
	API string `name:"api" env:"HOOKSPAN_API" placeholder:"URL" help:"The admin address of the bridge. Without it the bridge of --config is asked, else that of the current folder, else http://127.0.0.1:8081."`

	Token   config.SecretRef `name:"token" placeholder:"PLACE" help:"The place of the token for the bridge, as env:NAME or file:PATH, never the token itself: other users of this machine see the arguments of a process. Without it the variable HOOKSPAN_TOKEN has the token itself."`
	timeout time.Duration    // of one call; 0 is apiTimeout
	// webhooks is where the bridge that was looked up takes webhooks, empty when it takes none
	// or was named with --api.
	webhooks string
}

// tokenVariable has the token itself.
const tokenVariable = "env:HOOKSPAN_TOKEN"

// token returns the token, empty for none.
func (f *apiFlag) token(e *env) (string, error) {
	if f.Token == "" {
		token, err := config.SecretRef(tokenVariable).Resolve(e.getenv)
		return string(token), err
	}
	token, err := f.Token.Require(e.getenv)
	if err != nil {
		return "", fmt.Errorf("--token: %w", err)
	}
	return string(token), nil
}

// address returns the address of the bridge. It looks the bridge up once, so that all calls of a
// verb go to one bridge.
func (f *apiFlag) address(e *env) (string, error) {
	if f.API != "" {
		return f.API, nil
	}
	holder, err := f.holder(e, "--api")
	switch {
	case err != nil:
		return "", err
	case holder.AdminURL == "":
		return "", fmt.Errorf("the bridge of %s has no listener for operators: see admin.listen, or name another process with --api", cmp.Or(f.File, "this folder"))
	}
	f.API, f.webhooks = holder.AdminURL, holder.WebhooksURL
	return f.API, nil
}

// holder returns the process that is meant; where nothing names a bridge, one at the default
// addresses. The errors offer the flag instead that names an address.
func (f bridgeFlag) holder(e *env, instead string) (app.Holder, error) {
	meant, err := f.choose(e)
	if err != nil || meant.dir == "" {
		return app.Holder{AdminURL: "http://" + config.DefaultAdminListen, WebhooksURL: defaultWebhooks}, err
	}
	meant.instead = instead
	holder, err := meant.await(e.ctx, 0)
	if errors.Is(err, app.ErrNotRunning) && !meant.guessed {
		of := "this folder"
		if meant.named {
			of = meant.file
		}
		err = fmt.Errorf("the bridge of %s does not run: %w, or name another bridge with %s", of, err, instead)
	}
	return holder, err
}

const (
	// defaultWebhooks is where a bridge takes webhooks by default.
	defaultWebhooks = "http://127.0.0.1:8080"

	apiTimeout = time.Minute
	apiPath    = "/api/v1"
	// maxAPIAnswer is more than one entry takes as JSON, in bytes.
	maxAPIAnswer = 64 << 20
)

// call sends in, unless it is nil, and decodes the answer into out.
func (f *apiFlag) call(e *env, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(e.ctx, cmp.Or(f.timeout, apiTimeout))
	defer cancel()
	return f.send(ctx, e, method, path, in, func(res *http.Response) error {
		answer, err := io.ReadAll(io.LimitReader(res.Body, maxAPIAnswer))
		if err != nil {
			return passing{fmt.Errorf("reading the bridge's answer: %w", err)}
		}
		if err := json.Unmarshal(answer, out); err != nil {
			return fmt.Errorf("reading the bridge's answer: %w: is --api the admin address of a bridge of this version?", err)
		}
		return nil
	})
}

// stream sends in and has the answer read, for as long as that takes.
func (f *apiFlag) stream(e *env, path string, in any, read func(*http.Response) error) error {
	return f.send(e.ctx, e, http.MethodPost, path, in, read)
}

// send sends in, unless it is nil, and calls read with an answer that is no error.
func (f *apiFlag) send(ctx context.Context, e *env, method, path string, in any, read func(*http.Response) error) error {
	at, err := f.address(e)
	if err != nil {
		return err
	}
	base, err := url.Parse(at)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return errors.New("--api: write an address such as http://127.0.0.1:8081")
	}
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(at, "/")+apiPath+path, body)
	if err != nil {
		return fmt.Errorf("--api: %w", withoutURL(err))
	}
	req.Header.Set("Content-Type", "application/json")
	token, err := f.token(e)
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		return passing{fmt.Errorf("asking the bridge at %s: %w: is it running, and is this its admin.listen? --api names another one", base.Host, withoutURL(err))}
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode == http.StatusOK {
		return read(res)
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAPIAnswer))
	if err != nil {
		return passing{fmt.Errorf("reading the bridge's answer: %w", err)}
	}
	err = fmt.Errorf("the bridge answered %s%s", res.Status, problemDetail(answer))
	if res.StatusCode == http.StatusTooManyRequests || res.StatusCode > http.StatusNotImplemented {
		return passing{err}
	}
	return err
}

// passing is an error that a verb which goes on for hours outlives: the bridge is away, starts
// again, or is busy.
type passing struct{ error }

func (p passing) Unwrap() error { return p.error }

func problemDetail(answer []byte) string {
	var problem struct {
		Detail string `json:"detail"`
	}
	if json.Unmarshal(answer, &problem) != nil || problem.Detail == "" {
		return ""
	}
	return ": " + problem.Detail
}

func apiRoute(parts ...string) string {
	var path strings.Builder
	for _, p := range parts {
		path.WriteString("/" + url.PathEscape(p))
	}
	return path.String()
}

func (f *apiFlag) get(e *env, path string, query map[string]string, out any) error {
	values := url.Values{}
	for name, value := range query {
		if value != "" {
			values.Set(name, value)
		}
	}
	return f.call(e, http.MethodGet, path+"?"+values.Encode(), nil, out)
}

// client returns a client of the bridge. Connection is [client.Options.Connection].
func (f *apiFlag) client(e *env, connection func(error)) (*client.Client, error) {
	at, err := f.address(e)
	if err != nil {
		return nil, err
	}
	token, err := f.token(e)
	if err != nil {
		return nil, err
	}
	return client.New(at, client.Options{Token: token, Connection: connection})
}

// withoutURL removes the address from an error: it can hold a path token.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
