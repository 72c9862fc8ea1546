package main

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/cmd/internal/rig"
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
			all[id] = &message{predictionPrefix + status + ".get3w.flux-dev", nats.Header{
				rig.HeaderEventID: {id + "/x"}, rig.HeaderMsgID: {"get3w:" + id + "/x"}, rig.HeaderSubject: {id}, headerStatus: {status},
				headerSignature: {job[0].signature},
			}, body}
		}
	}
	for id, pred := range p.predictions {
		if pred.lost {
			all[id] = &message{predictionPrefix + "completed.google.imagen-4", nats.Header{
				rig.HeaderEventID: {id + "/x"}, rig.HeaderMsgID: {"get3w:" + id + "/x"}, rig.HeaderSubject: {id}, headerStatus: {"completed"}, headerOrigin: {"poll"},
			}, []byte("{}")}
		}
	}
	return all
}

func TestStreamCount(t *testing.T) {
	for name, c := range map[string]struct {
		change func(messages map[string]*message)
		want   func(c counts)
	}{
		"all right": {},
		"one is missing": {
			func(m map[string]*message) { delete(m, "pred_demo_25") },
			func(c counts) { c[events], c[failedEvents], c[intact] = 27, 5, 24 },
		},
		"one is there twice": {
			func(m map[string]*message) { m["again"] = m["pred_demo_01"] },
			func(c counts) { c[events], c[completedEvents], c[repeated], c[intact] = 29, 23, 1, 26 },
		},
		"one has the message id of another": {
			func(m map[string]*message) {
				m["pred_demo_01"].header[rig.HeaderMsgID] = m["pred_demo_02"].header[rig.HeaderMsgID]
			},
			func(c counts) { c[repeated] = 1 },
		},
		"a byte is another": {
			func(m map[string]*message) {
				m["pred_demo_01"].body = []byte(strings.Replace(string(m["pred_demo_01"].body), "2500", "2501", 1))
			},
			func(c counts) { c[intact] = 24 },
		},
		"a signature is another": {
			func(m map[string]*message) { m["pred_demo_01"].header[headerSignature] = []string{"00"} },
			func(c counts) { c[intact] = 24 },
		},
		"subject and header differ": {
			func(m map[string]*message) { m["pred_demo_01"].header[headerStatus] = []string{"failed"} },
			func(c counts) { c[completedEvents] = 21 },
		},
		"one whose webhook was lost came by a webhook": {
			func(m map[string]*message) { m["pred_lost_1"].header[headerOrigin] = []string{"webhook"} },
			func(c counts) { c[polled] = 2 },
		},
		"one whose webhook was lost is missing": {
			func(m map[string]*message) { delete(m, "pred_lost_1") },
			func(c counts) { c[events], c[completedEvents], c[polled] = 27, 21, 2 },
		},
		"another subject": {
			func(m map[string]*message) { m["pred_demo_01"].subject = "hookspan.again.archive.x" },
			func(c counts) { c[completedEvents] = 21 },
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := testPlan(t)
			messages, want := testStream(p), only(p.want(), 2, polled)
			if c.change != nil {
				c.change(messages)
				c.want(want)
			}
			got := counts{}
			require.NoError(t, p.countStream(got, func(add func(subject string, header nats.Header, body []byte)) error {
				for _, m := range messages {
					add(m.subject, m.header, m.body)
				}
				return nil
			}))
			require.Equal(t, want, only(got, 2, polled))
		})
	}
}
