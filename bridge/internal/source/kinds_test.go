package source

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
)

// sample is a webhook of one kind and what it says.
type sample struct {
	secret  string // as it is configured; signing uses it too unless private is set
	private string // what the sender signs with
	body    string
	id      string
	model   string
	status  string
	raw     string
	outputs []string // addresses, or the JSON of what is none
	err     string
	options Options
	// other: a webhook says the same in another way, such as a polled answer.
	answer string
	// uncovered: the proof does not cover the body.
	uncovered bool
}

const (
	whsec = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	// seed is the base64 of the seed of an Ed25519 key.
	seed = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
)

func signingKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(seed)
	require.NoError(t, err)
	return ed25519.NewKeyFromSeed(raw)
}

func keyDocument(t testing.TB) []byte {
	t.Helper()
	public := signingKey(t).Public().(ed25519.PublicKey)
	return fmt.Appendf(nil, `{"keys":[{"kty":"RSA","n":"x"},{"kty":"OKP","crv":"Ed25519","x":%q}]}`, base64.RawURLEncoding.EncodeToString(public))
}

// samples has every kind.
func samples(t testing.TB) map[string]sample {
	public := signingKey(t).Public().(ed25519.PublicKey)
	rawSeed, err := base64.StdEncoding.DecodeString(seed)
	require.NoError(t, err)
	get3wSample := sample{
		secret: "It's a Secret to Everybody", body: documented, id: "pred_abc123", model: "get3w/flux-dev", status: "completed", raw: "completed",
		outputs: []string{"https://cdn.get3w.com/outputs/image-xxxxx.png"},
		answer:  `{"status":"completed","id":"pred_abc123","model":"get3w/flux-dev","outputs":["https://cdn.get3w.com/outputs/image-xxxxx.png?sig=2"]}`,
	}
	wavespeedSample := get3wSample
	served := strings.NewReplacer("cdn.get3w.com", "media.wavespeed.ai")
	wavespeedSample.body, wavespeedSample.answer = served.Replace(wavespeedSample.body), served.Replace(wavespeedSample.answer)
	wavespeedSample.outputs = []string{"https://media.wavespeed.ai/outputs/image-xxxxx.png"}
	wavespeedSample.secret = "whsec_e9EE3BdyXSxcB4ZyZUKjQUEoQX4sF9P1+eMpb/KluCM="
	replicateSample := sample{
		secret: whsec, id: "ufawqhfynnddngldkgtslldrkq", model: "black-forest-labs/flux-schnell", status: "completed", raw: "succeeded",
		body: `{"id":"ufawqhfynnddngldkgtslldrkq","model":"black-forest-labs/flux-schnell","version":"dp-1","status":"succeeded","input":{"prompt":"https://x/y"},
			"output":["https://replicate.delivery/a/out-0.webp?x=1","https://replicate.delivery/a/out-1.webp"],"error":null,"logs":"",
			"metrics":{"predict_time":4.484541},"created_at":"2026-01-01T12:00:00.000Z","completed_at":"2026-01-01T12:00:05.000Z"}`,
		outputs: []string{"https://replicate.delivery/a/out-0.webp?x=1", "https://replicate.delivery/a/out-1.webp"},
		answer: `{"id":"ufawqhfynnddngldkgtslldrkq","status":"succeeded","model":"black-forest-labs/flux-schnell",
			"output":["https://replicate.delivery/a/out-0.webp","https://replicate.delivery/a/out-1.webp?y"],"error":null,"metrics":{"predict_time":4.484541},"urls":{}}`,
	}
	standardSample := get3wSample
	standardSample.secret = whsec
	klingTask := `"task_id":"7","task_status":"succeed","task_status_msg":"","created_at":1767268800000,"updated_at":1767268805000,
		"task_result":{"videos":[{"id":"v","url":"https://v21-kling.klingai.com/a.mp4","duration":"5"}]}`
	return map[string]sample{
		"get3w": get3wSample, "get3w-v1": get3wSample, "wavespeed": wavespeedSample, "standard": standardSample,
		"standard, v1a": {
			secret: publicPrefix + base64.StdEncoding.EncodeToString(public), private: privatePrefix + seed,
			body: standardSample.body, id: standardSample.id, model: standardSample.model, status: "completed", raw: "completed", outputs: standardSample.outputs,
		},
		"replicate": replicateSample,
		"openai": {
			secret: whsec, body: `{"id":"evt_685c059ae3a481909bdc86819b066fb6","object":"event","created_at":1750861210,"type":"response.completed","data":{"id":"resp_123"}}`,
			id: "resp_123", status: "completed", raw: "response.completed",
		},
		"gemini": {
			secret: whsec, body: `{"type":"video.generated","version":"v1","timestamp":"2026-05-08T12:00:00Z","data":{"id":"operations/7","output_file_uri":"https://generativelanguage.googleapis.com/v1beta/files/a:download?alt=media"}}`,
			id: "operations/7", status: "completed", raw: "video.generated", outputs: []string{"https://generativelanguage.googleapis.com/v1beta/files/a:download?alt=media"},
		},
		"hmac": {
			secret: "my secret", options: Options{
				Signature: HMAC{Header: "X-Mine", TimeHeader: "X-Mine-Time", Signed: "{time}:{body}", Algorithm: "sha512", Encoding: "base64", Prefix: "s=", Separator: ";"},
				Body:      Body{ID: []string{"/job/id"}, Status: []string{"/job/state"}, Outputs: []string{"/job/files"}, Statuses: map[string]string{"fertig": "completed"}},
			},
			body: `{"job":{"id":"j1","state":"fertig","files":{"b":"https://x.example/b.png","a":{"url":"https://x.example/a.png","w":1},"n":3}}}`,
			id:   "j1", status: "completed", raw: "fertig", outputs: []string{"https://x.example/a.png", "https://x.example/b.png"},
		},
		"bfl": {
			secret: "bfl secret", body: `{"task_id":"t1","status":"Ready","result":{"sample":"https://delivery.eu1.bfl.ai/a.jpg?sig=1","prompt":"p","seed":1}}`,
			id: "t1", status: "completed", raw: "Ready", outputs: []string{"https://delivery.eu1.bfl.ai/a.jpg?sig=1"},
			answer: `{"id":"t1","status":"Ready","result":{"sample":"https://delivery.eu1.bfl.ai/a.jpg?sig=2","seed":1}}`,
		},
		"baseten": {
			secret: "whsec_as it is", body: `{"request_id":"r1","model_id":"m1","deployment_id":"d","type":"async_request_completed","time":"2026-01-01T12:00:00Z","data":{"text":"hi","n":[1,2]},"errors":[]}`,
			id: "r1", model: "m1", status: "completed", raw: "completed", outputs: []string{`{"text":"hi","n":[1,2]}`},
		},
		"elevenlabs": {
			secret: "wsec", body: `{"type":"post_call_transcription","event_timestamp":1767268800,"data":{"agent_id":"ag","conversation_id":"conv_1","transcript":[]}}`,
			id: "conv_1", model: "ag", status: "completed", raw: "post_call_transcription", outputs: []string{`{"agent_id":"ag","conversation_id":"conv_1","transcript":[]}`},
		},
		"bfl, moderated": {
			secret: "bfl secret", body: `{"task_id":"t1","status":"Content Moderated","result":null,"error":"no"}`, id: "t1", status: "failed", raw: "Content Moderated", err: "no",
		},
		"replicate, failed": {
			secret: whsec, body: `{"id":"r2","model":"a/b","status":"failed","output":null,"error":"CUDA out of memory"}`, id: "r2", model: "a/b", status: "failed", raw: "failed", err: "CUDA out of memory",
		},
		"fal, failed": {
			private: string(rawSeed), body: `{"request_id":"f2","status":"ERROR","error":"Invalid status code: 422","payload":null}`, id: "f2", status: "failed", raw: "ERROR", err: "Invalid status code: 422",
		},
		"baseten, failed": {
			secret: "whsec_as it is", body: `{"request_id":"r2","model_id":"m1","type":"async_request_completed","data":null,"errors":[{"code":"MODEL_ERROR","message":"x"}]}`,
			id: "r2", model: "m1", status: "failed", raw: "failed", err: `[{"code":"MODEL_ERROR","message":"x"}]`,
		},
		"openai, failed": {secret: whsec, body: `{"type":"batch.expired","data":{"id":"batch_1"}}`, id: "batch_1", status: "failed", raw: "batch.expired"},
		"kie, failed":    {secret: "kie secret", body: `{"code":501,"msg":"no","data":{"taskId":"k2"}}`, id: "k2", status: "failed", raw: "501", uncovered: true},
		"github": {
			secret: "It's a Secret to Everybody", body: `{"action":"completed","workflow_run":{"id":30433642,"path":".github/workflows/x.yml","conclusion":"failure","artifacts_url":"https://api.github.com/artifacts"}}`,
			id: "30433642", model: ".github/workflows/x.yml", status: "failed", raw: "failure", outputs: []string{"https://api.github.com/artifacts"},
		},
		"fal": {
			private: string(rawSeed), body: `{"request_id":"f1","gateway_request_id":"f1","status":"OK","payload":{"images":[{"url":"https://v3b.fal.media/a.png","width":1}],"seed":7,"prompt":"x"}}`,
			id: "f1", status: "completed", raw: "OK", outputs: []string{"https://v3b.fal.media/a.png"},
			answer: `{"images":[{"url":"https://v3b.fal.media/a.png","width":1}],"seed":7,"prompt":"x"}`,
		},
		"shared-secret": {
			secret: "a shared secret", options: Options{Signature: HMAC{Header: "X-Token"}}, body: `{"id":"a","status":"succeeded","output":"hello"}`,
			id: "a", status: "completed", raw: "succeeded", outputs: []string{`"hello"`}, uncovered: true,
		},
		"assemblyai": {secret: "a shared secret", body: `{"transcript_id":"tr","status":"completed"}`, id: "tr", status: "completed", raw: "completed", uncovered: true},
		"deepgram": {
			secret: "a shared secret", body: `{"metadata":{"request_id":"dg","models":["nova-3"],"created":"2026-01-01T12:00:00Z"},"results":{"channels":[{"alternatives":[{"transcript":"hi"}]}]}}`,
			id: "dg", model: "nova-3", status: "completed", raw: "completed", outputs: []string{`{"channels":[{"alternatives":[{"transcript":"hi"}]}]}`}, uncovered: true,
		},
		"cerebrium": {body: `{"run_id":"c1","result":{"x":1}}`, id: "c1", status: "completed", raw: "completed", outputs: []string{`{"x":1}`}, uncovered: true},
		"confirm": {
			options: Options{Result: "/p/{id}"}, body: `{"id":"a","status":"done"}`, id: "a", status: "completed", raw: "done",
			answer: `{"id":"a","status":"done"}`, uncovered: true,
		},
		"runpod": {
			body: `{"id":"rp","status":"COMPLETED","output":{"image_url":"https://bucket.s3.amazonaws.com/a.png?X=1"}}`, id: "rp", status: "completed", raw: "COMPLETED",
			outputs: []string{"https://bucket.s3.amazonaws.com/a.png?X=1"}, uncovered: true,
			answer: `{"id":"rp","status":"COMPLETED","delayTime":1,"output":{"image_url":"https://bucket.s3.amazonaws.com/a.png?X=2"}}`,
		},
		"luma": {
			body: `{"id":"lu","state":"failed","failure_reason":"moderated","assets":null,"model":"ray-2","created_at":"2026-01-01T12:00:00Z"}`, id: "lu", model: "ray-2", status: "failed", raw: "failed",
			err: "moderated", answer: `{"id":"lu","state":"failed","failure_reason":"moderated","model":"ray-2"}`, uncovered: true,
		},
		"kling": {
			body: `{` + klingTask + `}`, id: "7", status: "completed", raw: "succeed", outputs: []string{"https://v21-kling.klingai.com/a.mp4"}, uncovered: true,
			answer: `{"code":0,"message":"SUCCEED","data":{` + klingTask + `}}`,
		},
		"kie": {
			secret: "kie secret", body: `{"code":200,"msg":"success","data":{"taskId":"k1","resultUrls":["https://tempfile.kie.ai/a.png"]}}`, id: "k1", status: "completed", raw: "200",
			uncovered: true,
		},
		"poll": {options: Options{Result: "/p/{id}"}, answer: `{"id":"a","status":"succeeded"}`, id: "a", status: "completed", raw: "succeeded"},
		"runway": {
			answer: `{"id":"rw","status":"SUCCEEDED","createdAt":"2026-01-01T12:00:00Z","output":["https://d.cloudfront.net/a.mp4?x"]}`, id: "rw", status: "completed", raw: "SUCCEEDED",
			outputs: []string{"https://d.cloudfront.net/a.mp4?x"},
		},
		"stability": {answer: `{"video":"AAAA","finish_reason":"SUCCESS","seed":1}`, id: "st", status: "completed", raw: "completed", outputs: []string{`"AAAA"`}},
	}
}

// source returns the source of a sample with the secrets.
func (s sample) source(t testing.TB, kind string, secrets ...string) *Source {
	t.Helper()
	cfg := Config{Name: "a", Kind: kind, Options: s.options, FetchKeys: func(context.Context, string) ([]byte, error) { return keyDocument(t), nil }}
	for _, secret := range secrets {
		cfg.Secrets = append(cfg.Secrets, []byte(secret))
	}
	src, err := New(cfg)
	require.NoError(t, err)
	return src
}

// delivery returns the sample as its sender signs it at a time.
func (s sample) delivery(t testing.TB, src *Source, at time.Time) Delivery {
	t.Helper()
	d := Delivery{Body: []byte(s.body), ContentType: "application/json", ReceivedAt: at, Origin: bridge.OriginWebhook, Proof: bridge.Header{}}
	if src.kind.Proof == nil {
		return d
	}
	secret := s.secret
	if s.private != "" {
		secret = s.private
	}
	var err error
	d.Proof, err = src.kind.Proof.Sign(Message{ID: "msg_1", At: at, Body: d.Body}, []byte(secret))
	require.NoError(t, err)
	return d
}

// secrets are those with which the sample is accepted.
func (s sample) secrets() []string {
	if s.secret == "" {
		return nil
	}
	return []string{s.secret}
}

// kindOf returns the kind of a sample's name.
func kindOf(name string) string {
	kind, _, _ := strings.Cut(name, ", ")
	return kind
}

func TestEveryKindHasASample(t *testing.T) {
	t.Parallel()
	all := map[string]bool{}
	for name := range samples(t) {
		all[kindOf(name)] = true
	}
	for _, kind := range Kinds() {
		require.True(t, all[kind], kind)
	}
}

// Each kind reads its own webhooks and answers, and both are the same event.
func TestKindsRead(t *testing.T) {
	t.Parallel()
	for name, s := range samples(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := s.source(t, kindOf(name), s.secrets()...)
			check := func(e *bridge.Event, raw string) {
				require.Equal(t, s.id, e.PredictionID)
				require.Equal(t, s.status, e.Status)
				require.Equal(t, raw, e.RawStatus)
				require.Equal(t, src.kind.Vendor+".prediction."+s.status+".v1", e.Type)
				back, err := bridge.DecodeEvent(e.Header(), e.Body) // as a consumer has it
				require.NoError(t, err)
				p, err := back.Prediction()
				require.NoError(t, err)
				var outputs []string
				for _, o := range p.Outputs {
					if o.URL != "" {
						outputs = append(outputs, o.URL)
					} else {
						outputs = append(outputs, string(o.Raw))
					}
				}
				require.Len(t, outputs, len(s.outputs))
				for i := range outputs {
					require.Equal(t, withoutQuery(s.outputs[i]), withoutQuery(outputs[i]))
				}
				require.Equal(t, s.err, p.Error)
				require.Equal(t, s.id, p.ID)
				require.Equal(t, raw, p.Status)
			}
			var posted *bridge.Event
			if s.body != "" {
				var err error
				posted, err = src.Accept(s.delivery(t, src, received))
				require.NoError(t, err)
				require.Equal(t, s.model, posted.Model)
				check(posted, s.raw)
			}
			if s.answer == "" {
				return
			}
			polled, err := src.ReadAnswer(Delivery{Body: []byte(s.answer), ReceivedAt: received, Origin: bridge.OriginPoll, AnyAge: true}, s.id)
			require.NoError(t, err)
			raw := s.raw
			if len(src.kind.Answer.Status) == 0 {
				raw = s.status
			}
			check(polled, raw)
			if posted != nil {
				require.Equal(t, posted.ID, polled.ID, "a webhook and a poll of the same end are one event")
			}
			if len(src.kind.Answer.ID) > 0 {
				_, err = src.ReadAnswer(Delivery{Body: []byte(s.answer), ReceivedAt: received, AnyAge: true}, "another")
				require.ErrorContains(t, err, "the answer is about prediction")
			}
		})
	}
}

func withoutQuery(s string) string {
	for i := range len(s) {
		if s[i] == '?' && bridge.IsURL(s) {
			return s[:i]
		}
	}
	return s
}

// Each kind that proves something refuses whatever it did not prove.
func TestKindsProve(t *testing.T) {
	t.Parallel()
	for name, s := range samples(t) {
		kind, err := KindOf(kindOf(name))
		require.NoError(t, err)
		if s.body == "" || kind.Proof == nil && s.options.Signature == (HMAC{}) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := s.source(t, kindOf(name), s.secrets()...)
			good := func() Delivery { return s.delivery(t, src, received) }
			refuse := func(what string, d Delivery) {
				t.Helper()
				_, err := src.Accept(d)
				require.ErrorIs(t, err, ErrNotAuthentic, what)
				cause, detail := src.Diagnose(d)
				require.NotEmpty(t, cause, what)
				require.NotEmpty(t, detail, what)
				for _, secret := range append(s.secrets(), s.private) {
					if secret != "" {
						require.NotContains(t, detail, secret, what)
					}
				}
			}
			_, err := src.Accept(good())
			require.NoError(t, err)

			if !s.uncovered {
				for at := range s.body {
					d := good()
					d.Body[at] ^= 1
					_, err := src.Accept(d)
					require.ErrorIs(t, err, ErrNotAuthentic, "a flipped bit at %d", at)
				}
				d := good()
				d.Body = d.Body[:len(d.Body)-1]
				refuse("cut off", d)
				d = good()
				var value any
				require.NoError(t, json.Unmarshal(d.Body, &value))
				if d.Body, err = json.MarshalIndent(value, "", " "); err == nil {
					refuse("written anew", d)
				}
				d = good()
				d.Body = append(d.Body, '\n')
				refuse("a line break more", d)
			}
			for _, header := range src.kind.ProofHeaders() {
				d := good()
				d.Proof[header] = append(d.Proof[header], d.Proof[header]...)
				refuse("twice "+header, d)
				d = good()
				delete(d.Proof, header)
				refuse("without "+header, d)
				d = good()
				d.Proof[header] = []string{""}
				refuse("empty "+header, d)
				d = good()
				d.Proof["X-"+header] = d.Proof[header]
				delete(d.Proof, header)
				refuse("a look-alike of "+header, d)
				d = good()
				d.Proof[header] = []string{d.Proof[header][0] + "x"}
				refuse("changed "+header, d)
			}
			signature := src.kind.ProofHeaders()[0]
			for what, value := range map[string]string{
				"another version": "v9." + good().Proof.Get(signature), "a space": " ", "a separator": ",", "not hex": "zz", "long": string(make([]byte, 1<<16)),
			} {
				d := good()
				d.Proof[signature] = []string{value}
				refuse(what, d)
			}

			// Times count from the receipt, so a delivery that was kept is judged as then.
			_, tolerance, _ := timeOf(src, good())
			if src.kind.SignsTime() && tolerance > 0 {
				for _, off := range []time.Duration{tolerance, -tolerance} {
					d := good()
					d.ReceivedAt = received.Add(off)
					_, err := src.Accept(d)
					require.NoError(t, err, "within the tolerance")
					d.ReceivedAt = received.Add(off + off/100)
					refuse("outside the tolerance", d)
					cause, _ := src.Diagnose(d)
					if src.kind.NeedsSecret() && s.private == "" {
						require.Equal(t, CauseTimeOutside, cause)
					}
				}
				d := s.delivery(t, src, time.Now())
				d.ReceivedAt = time.Now().Add(-24 * time.Hour)
				refuse("from the future", d)
			}

			if !src.kind.NeedsSecret() {
				return
			}
			// Rotation: each of several secrets proves, another one does not.
			other := otherSecret(s)
			for _, secrets := range [][]string{{s.secret, other}, {other, s.secret}, {"", s.secret}} {
				_, err := s.source(t, kindOf(name), secrets...).Accept(good())
				require.NoError(t, err)
			}
			_, err = s.source(t, kindOf(name), other).Accept(good())
			require.ErrorIs(t, err, ErrNotAuthentic)
			for _, none := range [][]string{nil, {""}} {
				src := s.source(t, kindOf(name), none...)
				require.False(t, src.HasSecret())
				_, err := src.Accept(good())
				require.ErrorIs(t, err, ErrNotAuthentic, "everybody knows the empty secret")
			}
		})
	}
}

func timeOf(src *Source, d Delivery) (time.Time, time.Duration, bool) {
	if p, is := src.kind.Proof.(timed); is {
		return p.signedAt(&d)
	}
	return time.Time{}, 0, false
}

func otherSecret(s sample) string {
	if s.private != "" {
		return publicPrefix + base64.StdEncoding.EncodeToString(make([]byte, ed25519.PublicKeySize))
	}
	if len(s.secret) > 6 && s.secret[:6] == secretPrefix {
		return secretPrefix + "AAAAGKYqrTwjUPD8ILPZIo2LaLaSwAAA"
	}
	return "another secret"
}

// Times are whole seconds and nothing else.
func TestTimesAreWholeSeconds(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]string{"standard": "Webhook-Timestamp", "wavespeed": "Webhook-Timestamp", "fal": falTime, "kie": "X-Webhook-Timestamp"} {
		s := samples(t)[name]
		src := s.source(t, name, s.secrets()...)
		for _, at := range []string{"1704110404.0", "-1704110404", "+1704110404", "1704110404000", "0x6592a4c4", "1e9", "99999999999", " 1704110404", "1704110404 ", "²", "", "1_704_110_404"} {
			d := s.delivery(t, src, received)
			d.Proof[header] = []string{at}
			_, err := src.Accept(d)
			require.ErrorIs(t, err, ErrNotAuthentic, "%s %q", name, at)
		}
	}
}

// Of a list of signatures one suffices, and there are not too many to look at.
func TestListsOfSignatures(t *testing.T) {
	t.Parallel()
	for name, between := range map[string]string{"standard": " ", "wavespeed": " ", "baseten": ",", "elevenlabs": ","} {
		s := samples(t)[name]
		src := s.source(t, name, s.secrets()...)
		good := s.delivery(t, src, received)
		header := src.kind.ProofHeaders()[0]
		came := good.Proof.Get(header)
		with := func(value string) error {
			d := s.delivery(t, src, received)
			d.Proof[header] = []string{value}
			_, err := src.Accept(d)
			return err
		}
		require.NoError(t, with(came+between+"v9=AAAA"+between+"v9,AAAA"), name)
		if name != "elevenlabs" { // it has the time first
			require.NoError(t, with("v1=00"+between+"v1,AAAA"+between+came), name)
		}
		many := came
		for range 100 {
			many += between + came
		}
		require.ErrorIs(t, with(many), ErrNotAuthentic, name)
	}
}

func TestAnswersByKind(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][2]int{"get3w": {401, 429}, "replicate": {401, 429}, "baseten": {401, 503}, "cerebrium": {401, 404}, "assemblyai": {503, 503}} {
		k, err := KindOf(name)
		require.NoError(t, err)
		require.Equal(t, want[0], k.Status(NotAuthentic, 401), name)
		require.Equal(t, want[1], k.Status(ComeAgain, 429), name)
	}
}

// What a kind says of itself does not contradict itself.
func TestKindsAddUp(t *testing.T) {
	t.Parallel()
	statuses := []string{bridge.StatusCreated, bridge.StatusProcessing, bridge.StatusCompleted, bridge.StatusFailed, bridge.StatusCanceled}
	generic := []string{"confirm", "poll", "hmac", "standard", "shared-secret"}
	for _, name := range Kinds() {
		k, err := KindOf(name)
		require.NoError(t, err)
		require.Equal(t, name, k.Name)
		require.NotEmpty(t, k.Vendor, name)
		byURL := name == "cerebrium" || name == "shared-secret"
		require.True(t, k.Proof != nil || k.Confirm == ConfirmAlways || k.NoWebhook || byURL, "%s: nothing proves a webhook: confirm it", name)
		require.LessOrEqual(t, k.Forgives, k.RetrySpan, name)
		require.True(t, k.NoWebhook || k.RetrySpan > 0, name)
		for _, b := range []Body{k.Body, k.Answer} {
			for word, status := range b.Statuses {
				require.Contains(t, statuses, status, "%s: %s", name, word)
			}
			for _, pointer := range slices.Concat(b.ID, b.Model, b.Status, b.Outputs, b.Error, b.CreatedAt, b.CompletedAt, b.Inference) {
				require.True(t, pointer == bridge.WholeBody || strings.HasPrefix(pointer, "/"), "%s: %s", name, pointer)
			}
		}
		if slices.Contains(generic, name) {
			continue
		}
		require.True(t, len(k.API.Result) > 0 || k.Confirm != ConfirmAlways && !k.NoWebhook, "%s: the provider has to be asked", name)
		for _, result := range k.API.Result {
			require.Contains(t, result.Path, "{id}", name)
		}
		if k.API.BaseURL != "" {
			u, err := url.Parse(k.API.BaseURL)
			require.NoError(t, err)
			require.True(t, u.Scheme == "https" && u.Host != "" && !strings.HasSuffix(u.Path, "/"), "%s: %s", name, k.API.BaseURL)
		}
	}
	for name, s := range samples(t) {
		k, err := KindOf(kindOf(name))
		require.NoError(t, err)
		for _, output := range s.outputs {
			u, err := url.Parse(output)
			if err != nil || !bridge.IsURL(output) || len(k.OutputHosts) == 0 {
				continue
			}
			require.True(t, slices.ContainsFunc(k.OutputHosts, func(host string) bool {
				family, is := strings.CutPrefix(host, "*")
				return host == u.Host || is && strings.HasSuffix(u.Host, family)
			}), "%s serves outputs from %s", name, u.Host)
		}
	}
}

func TestKindsAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/sources.md")
	require.NoError(t, err)
	for _, name := range Kinds() {
		require.Contains(t, string(page), "`"+name+"`")
	}
}
