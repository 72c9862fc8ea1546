package rig

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// FreePort returns a port below those that the kernel gives to connections: a client that
// tries such a port while nobody listens could connect to itself.
func FreePort() int {
	for range 100 {
		port := 20000 + rand.IntN(12000)
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			Check(listener.Close())
			return port
		}
	}
	Check(errors.New("no port is free between 20000 and 32000"))
	return 0
}

// Get asks for an address, and returns the body of the answer, which must be 200.
func (r *Rig) Get(address string) []byte {
	response, err := http.DefaultClient.Do(Must(http.NewRequestWithContext(r.ctx, http.MethodGet, address, nil)))
	Check(err)
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		Check(fmt.Errorf("asking for %s: %s", address, response.Status))
	}
	return Must(io.ReadAll(response.Body))
}

// Serve serves HTTP on a free port until the rig is closed, and returns the base address.
func (r *Rig) Serve(h http.Handler) (base string) { return r.ServeAt("127.0.0.1:0", h) }

// ServeAt serves HTTP at an address.
func (r *Rig) ServeAt(addr string, h http.Handler) (base string) {
	listener := Must(new(net.ListenConfig).Listen(r.ctx, "tcp", addr))
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	r.OnClose(func() error {
		err := server.Close()
		if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
			err = errors.Join(err, ended)
		}
		return err
	})
	return "http://" + listener.Addr().String()
}
