package archive

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/hookspan/hookspan/internal/freshconn"
)

// First arguments of the processes that tests start: one to have it killed, one
// whose environment names proxies, which the standard library reads only once.
const (
	childHandle = "archive-child-handle"
	childDial   = "archive-child-dial"
)

// child archives one event and returns its exit code. With [childDial] it only
// prints what it would connect to.
func child(what, dir, url string) int {
	a, err := New(Config{Location: Location{Dir: dir}, Hosts: []string{"127.0.0.1", "example.com"}, AllowPrivate: true})
	if err == nil {
		if what == childDial {
			transport := newTransport(Config{}, false)
			transport.DialContext = printAddress
			a.downloader.secure = freshconn.New(transport, 0)
			a.downloader.plain = a.downloader.secure
		}
		err = a.Handle(context.Background(), newEvent("p", "text", url))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func printAddress(_ context.Context, _, addr string) (net.Conn, error) {
	fmt.Println(addr)
	return nil, errors.New("not connecting")
}
