package main

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// message is one of the stream.
type message struct {
	subject string
	header  nats.Header
	body    []byte
}

// testStream is what the stream must hold, by prediction.
func testStream(p *plan) map[string]*message {
	all := map[string]*message{}
	for _, job := range p.jobs {
		for id, body := range p.bodies {
			if string(job[0].body) != string(body) {
				continue
			}
			status := "completed"
			if p.predictions[id].failure != "" {
				status = "failed"
			}
			all[id] = &message{subjectPrefix + status + ".get3w.flux-dev", nats.Header{
				headerID: {id + "/x"}, headerMsgID: {"get3w:" + id + "/x"}, headerSubject: {id}, headerStatus: {status},
				headerSignature: job[0].header["X-Get3w-Signature"],
			}, body}
		}
	}
	for id, pred := range p.predictions {
		if pred.lost {
			all[id] = &message{subjectPrefix + "completed.google.imagen-4", nats.Header{
				headerID: {id + "/x"}, headerMsgID: {"get3w:" + id + "/x"}, headerSubject: {id}, headerStatus: {"completed"}, headerOrigin: {"poll"},
			}, []byte("{}")}
		}
	}
	return all
}

func TestStreamCount(t *testing.T) {
	for name, c := range map[string]struct {
		change func(messages map[string]*message)
		want   func(c *streamCounts)
	}{
		"all right": {},
		"one is missing": {
			func(m map[string]*message) { delete(m, "pred_demo_25") },
			func(c *streamCounts) { c.events, c.failed, c.intact = 27, 5, 24 },
		},
		"one is there twice": {
			func(m map[string]*message) { m["again"] = m["pred_demo_01"] },
			func(c *streamCounts) { c.events, c.completed, c.repeated, c.intact = 29, 23, 1, 26 },
		},
		"one has the message id of another": {
			func(m map[string]*message) {
				m["pred_demo_01"].header[headerMsgID] = m["pred_demo_02"].header[headerMsgID]
			},
			func(c *streamCounts) { c.repeated = 1 },
		},
		"a byte is another": {
			func(m map[string]*message) {
				m["pred_demo_01"].body = []byte(strings.Replace(string(m["pred_demo_01"].body), "2500", "2501", 1))
			},
			func(c *streamCounts) { c.intact = 24 },
		},
		"a signature is another": {
			func(m map[string]*message) { m["pred_demo_01"].header[headerSignature] = []string{"00"} },
			func(c *streamCounts) { c.intact = 24 },
		},
		"subject and header differ": {
			func(m map[string]*message) { m["pred_demo_01"].header[headerStatus] = []string{"failed"} },
			func(c *streamCounts) { c.completed = 21 },
		},
		"one whose webhook was lost came by a webhook": {
			func(m map[string]*message) { m["pred_lost_1"].header[headerOrigin] = []string{"webhook"} },
			func(c *streamCounts) { c.polled = 2 },
		},
		"one whose webhook was lost is missing": {
			func(m map[string]*message) { delete(m, "pred_lost_1") },
			func(c *streamCounts) { c.events, c.completed, c.polled = 27, 21, 2 },
		},
		"another subject": {
			func(m map[string]*message) { m["pred_demo_01"].subject = "hookspan.again.archive.x" },
			func(c *streamCounts) { c.completed = 21 },
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := testPlan(t)
			messages, want := testStream(p), p.want().stream
			if c.change != nil {
				c.change(messages)
				c.want(&want)
			}
			count := newStreamCount(p, testSecret)
			for _, m := range messages {
				count.add(m.subject, m.header, m.body)
			}
			require.Equal(t, want, count.result())
		})
	}
}
