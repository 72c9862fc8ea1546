package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/hookspan/hookspan/cmd/internal/rig"
	"github.com/hookspan/hookspan/internal/signing"
)

// modePeer is what a team writes in an afternoon instead of a bridge: Echo, the signature,
// JSON, and a store.
const modePeer = "peer"

// Stores of the peer.
const (
	inNothing  = "nothing"
	inPostgres = "postgres"
	inNATS     = "nats"
)

// prediction is what the peer reads of a webhook.
type prediction struct {
	ID      string   `json:"id"`
	Model   string   `json:"model"`
	Status  string   `json:"status"`
	Outputs []string `json:"outputs"`
}

// saver stores a webhook and returns when it is durable. It is safe for concurrent use.
type saver func(ctx context.Context, p prediction, body []byte) error

// startPeer runs a peer with a store at the given address.
func startPeer(r *rig.Rig, store, at string) *rig.Receiver {
	return r.StartReceiver("peer", modePeer, store, at)
}

// runPeer serves until ctx ends. args are the store and its address.
func runPeer(ctx context.Context, args []string, stdout io.Writer) (err error) {
	var save saver
	closeStore := func() {}
	switch args[0] {
	case inPostgres:
		save, closeStore, err = saveInPostgres(ctx, args[1])
	case inNATS:
		save, closeStore, err = saveInNATS(ctx, args[1])
	case inNothing:
		save = func(context.Context, prediction, []byte) error { return nil }
	default:
		err = fmt.Errorf("there is no store %q", args[0])
	}
	if err != nil {
		return err
	}
	defer closeStore()
	e := echo.New()
	e.POST("/webhooks/"+rig.SourceName, take(save)) //nolint:contextcheck // a request brings the context
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: e, ReadHeaderTimeout: rig.AnswerTimeout}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })() // its senders are done
	if err := rig.Ready(stdout, map[string]any{"webhooks": listener.Addr().String()}); err != nil {
		return err
	}
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func take(save saver) echo.HandlerFunc {
	secret := []byte(rig.Secret)
	return func(c echo.Context) error {
		body, err := io.ReadAll(io.LimitReader(c.Request().Body, 4*mib))
		if err != nil {
			return c.NoContent(http.StatusBadRequest)
		}
		mac := hmac.New(sha256.New, secret)
		mac.Write(body)
		if !hmac.Equal([]byte(hex.EncodeToString(mac.Sum(nil))), []byte(c.Request().Header.Get(signing.Header))) {
			return c.NoContent(http.StatusUnauthorized)
		}
		var p prediction
		if err := json.Unmarshal(body, &p); err != nil || p.ID == "" {
			return c.NoContent(http.StatusBadRequest)
		}
		if err := save(c.Request().Context(), p, body); err != nil {
			return c.NoContent(http.StatusServiceUnavailable)
		}
		return c.JSON(http.StatusOK, map[string]string{"result": rig.Safe[0]})
	}
}

// poolSize is how many connections the peer has to PostgreSQL at most.
const poolSize = 32

func saveInPostgres(ctx context.Context, url string) (saver, func(), error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, nil, err
	}
	config.MaxConns = poolSize
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err == nil {
		_, err = pool.Exec(ctx, `drop table if exists events; create table events (id text, status text, model text, body bytea, at timestamptz default now(), primary key (id, status))`)
	}
	if err != nil {
		if pool != nil {
			pool.Close()
		}
		return nil, nil, fmt.Errorf("making a table: %w", err)
	}
	return func(ctx context.Context, p prediction, body []byte) error {
		_, err := pool.Exec(ctx, `insert into events (id, status, model, body) values ($1, $2, $3, $4) on conflict do nothing`, p.ID, p.Status, p.Model, body)
		return err
	}, pool.Close, nil
}

func saveInNATS(ctx context.Context, url string) (saver, func(), error) {
	nc, err := nats.Connect(url)
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(nc)
	if err == nil {
		_, err = js.CreateStream(ctx, jetstream.StreamConfig{Name: "events", Subjects: []string{"events.>"}, Storage: jetstream.FileStorage})
	}
	if err != nil {
		nc.Close()
		return nil, nil, fmt.Errorf("making a stream: %w", err)
	}
	return func(ctx context.Context, p prediction, body []byte) error {
		_, err := js.Publish(ctx, "events."+p.Status, body, jetstream.WithMsgID(p.ID+"/"+p.Status))
		return err
	}, nc.Close, nil
}
