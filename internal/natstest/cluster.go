package natstest

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"
)

// formed bounds the first election of a cluster. While all logs are empty a leader needs the votes
// of all servers, not of most, so that servers that begin together often try several times, 4 to
// 9 s apart.
const formed = 4 * time.Minute

// StartCluster starts three servers of one cluster, and returns when each of them can keep a
// replica.
func StartCluster(t testing.TB) (servers []*External) {
	t.Helper()
	var routes []*url.URL
	ports := []int{FreePort(t), FreePort(t), FreePort(t)}
	for _, port := range ports {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)})
	}
	for i, port := range ports {
		x := NewExternal(t, func(o *server.Options) {
			o.ServerName, o.Routes = fmt.Sprint("n", i), routes
			o.Cluster = server.ClusterOpts{Name: "three", Host: "127.0.0.1", Port: port}
		})
		x.Start()
		servers = append(servers, x)
	}
	WaitForPeers(t, servers...)
	return servers
}

// WaitForPeers returns when a leader knows that all these servers, and no others, can keep
// replicas.
func WaitForPeers(t testing.TB, servers ...*External) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, x := range servers {
			if len(x.s.JetStreamClusterPeers()) == len(servers) { // the leader alone tells
				return true
			}
		}
		return false
	}, formed, 10*time.Millisecond, "the cluster has a leader that knows of %d servers", len(servers))
}
