package app_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/hookspan/hookspan/bridge/app"
	"github.com/hookspan/hookspan/bridge/config"
)

// A bridge on free ports takes one signed webhook and ends.
func Example() {
	dir, err := os.MkdirTemp("", "hookspan")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := serveOne(dir); err != nil {
		fmt.Println(err)
	}
	// Output: 200 OK
}

func serveOne(dir string) (err error) {
	file := filepath.Join(dir, "hookspan.yaml")
	text := "data_dir: " + dir + `/data
ingress: {listen: "127.0.0.1:0"}
admin: {listen: "127.0.0.1:0"}
nats: {listen: "127.0.0.1:0"}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	cfg, err := config.Load(file)
	if err != nil {
		return err
	}
	secret := func(string) (string, bool) { return "the secret of the provider's account", true }
	bridge, err := app.New(cfg, app.Options{File: file, Getenv: secret, Log: io.Discard})
	if err != nil {
		return err
	}
	defer func() {
		if stopped := bridge.Stop(); err == nil {
			err = stopped
		}
	}()
	if err := bridge.Start(context.Background()); err != nil {
		return err
	}

	const body = `{"id":"pred_1","status":"failed","error":"no, thanks"}`
	req, err := http.NewRequest(http.MethodPost, bridge.Ready().Webhooks["get3w"], strings.NewReader(body))
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, []byte("the secret of the provider's account"))
	mac.Write([]byte(body))
	req.Header.Set("X-Get3W-Signature", hex.EncodeToString(mac.Sum(nil)))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	fmt.Println(res.Status)
	return res.Body.Close()
}
