// Package contractstest holds what is really on the wire against the document of it, in tests.
package contractstest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/contracts"
)

// Contract is the document, ready to check messages. It is safe for concurrent use.
type Contract struct {
	Channels []*Channel
	byType   map[string]*Message
}

// Channel is one channel of the document.
type Channel struct {
	Name, Stream string
	Message      *Message
	subject      *regexp.Regexp // nil: a reply, which has no subject of its own
	params       map[string][]any
}

// Message is one message of the document.
type Message struct {
	Name             string
	headers, payload *jsonschema.Schema // nil: any
	carries          bool
}

// Node is a part of the document.
type Node = map[string]any

// Document returns all of the document, and resolve what a part refers to.
func Document(t testing.TB) (doc Node, resolve func(part any) Node) {
	t.Helper()
	require.NoError(t, yaml.Unmarshal(contracts.AsyncAPI, &doc))
	return doc, func(part any) Node {
		node, _ := part.(Node)
		ref, is := node["$ref"].(string)
		if !is {
			return node
		}
		at := any(doc)
		for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
			of, _ := at.(Node)
			require.Contains(t, of, name, ref)
			at = of[name]
		}
		return at.(Node)
	}
}

// New reads the document.
func New(t testing.TB) *Contract {
	t.Helper()
	doc, resolve := Document(t)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	for name, schema := range contracts.Schemas() {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
		require.NoError(t, err)
		require.NoError(t, compiler.AddResource("https://hookspan.invalid/api/schemas/"+name+".json", value))
	}
	compiled := func(name string, schema any) *jsonschema.Schema {
		text, err := json.Marshal(schema)
		require.NoError(t, err)
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		require.NoError(t, err)
		require.NoError(t, compiler.AddResource("https://hookspan.invalid/api/"+name, value))
		return compiler.MustCompile("https://hookspan.invalid/api/" + name)
	}
	c := &Contract{byType: map[string]*Message{}}
	for name, part := range doc["channels"].(Node) {
		channel := part.(Node)
		one := &Channel{Name: name, params: map[string][]any{}}
		one.Stream, _ = channel["x-stream"].(string)
		if address, ok := channel["address"].(string); ok {
			one.subject = pattern(t, address, channel, resolve, one.params)
		}
		require.Len(t, channel["messages"], 1, name)
		for _, message := range channel["messages"].(Node) {
			ref := message.(Node)["$ref"].(string)
			m := merged(Node{}, resolve(message))
			for _, trait := range asList(m["traits"]) {
				m = merged(merged(Node{}, resolve(trait)), m)
			}
			one.Message = &Message{Name: ref[strings.LastIndex(ref, "/")+1:], carries: m["x-carries"] == "event"}
			if m["headers"] != nil {
				one.Message.headers = compiled(name+"-headers", m["headers"])
				properties, _ := m["headers"].(Node)["properties"].(Node)
				typ, _ := properties["ce-type"].(Node)
				if is, ok := typ["const"].(string); ok {
					c.byType[is] = one.Message
				}
			}
			if m["payload"] != nil {
				one.Message.payload = compiled(name+"-payload", m["payload"])
			}
		}
		c.Channels = append(c.Channels, one)
	}
	return c
}

func asList(v any) []any { list, _ := v.([]any); return list }

// merged is JSON Merge Patch (RFC 7396), as traits are applied.
func merged(into, patch Node) Node {
	into = maps.Clone(into)
	if into == nil {
		into = Node{}
	}
	for name, value := range patch {
		if node, is := value.(Node); is {
			old, _ := into[name].(Node)
			value = merged(old, node)
		}
		into[name] = value
	}
	return into
}

// pattern is the regular expression of a channel's subjects. It adds what parameters are not.
func pattern(t testing.TB, address string, channel Node, resolve func(any) Node, not map[string][]any) *regexp.Regexp {
	t.Helper()
	parameters, _ := channel["parameters"].(Node)
	used := 0
	text := regexp.MustCompile(`\\\{\w+\\\}`).ReplaceAllStringFunc(regexp.QuoteMeta(address), func(name string) string {
		name, used = strings.Trim(name, `\{}`), used+1
		p := resolve(parameters[name])
		require.NotEmpty(t, p["x-pattern"], "%s: %s", address, name)
		require.Equal(t, p["x-tokens"] == "many", strings.Contains(p["x-pattern"].(string), `\.`), "%s: %s", address, name)
		not[name] = asList(p["x-not"])
		return "(?P<" + name + ">" + p["x-pattern"].(string) + ")"
	})
	require.Len(t, parameters, used, address)
	return regexp.MustCompile("^" + text + "$")
}

func (c *Channel) has(subject string) bool {
	if c.subject == nil {
		return false
	}
	found := c.subject.FindStringSubmatch(subject)
	for i, name := range c.subject.SubexpNames() {
		if found != nil && name != "" && slices.Contains(c.params[name], any(found[i])) {
			return false
		}
	}
	return found != nil
}

// Check returns the channel of a message that is as the document says.
func (c *Contract) Check(subject string, header map[string][]string, payload []byte) (*Channel, error) {
	var of []*Channel
	for _, channel := range c.Channels {
		if channel.has(subject) {
			of = append(of, channel)
		}
	}
	if len(of) != 1 {
		return nil, fmt.Errorf("%s is a subject of %d channels", subject, len(of))
	}
	err := of[0].Message.check(header, payload)
	if typ := bridge.Header(header).Get("ce-type"); err == nil && of[0].Message.carries && typ != "" {
		event, own := c.byType[typ]
		if !own {
			event = c.named("prediction")
		}
		err = event.checkPayload(payload)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", subject, err)
	}
	return of[0], nil
}

// CheckReply checks a message of a channel that has no subject of its own.
func (c *Contract) CheckReply(channel string, header map[string][]string, payload []byte) error {
	i := slices.IndexFunc(c.Channels, func(one *Channel) bool { return one.Name == channel })
	return c.Channels[i].Message.check(header, payload)
}

func (c *Contract) named(message string) *Message {
	i := slices.IndexFunc(c.Channels, func(one *Channel) bool { return one.Message.Name == message })
	return c.Channels[i].Message
}

// ofAnswers are headers that the server adds to a message when it answers with it.
var ofAnswers = []string{jetstream.StreamHeader, jetstream.SubjectHeader, jetstream.SequenceHeader, jetstream.TimeStampHeaer}

func (m *Message) check(header map[string][]string, payload []byte) error {
	most := 1
	for _, values := range header {
		most = max(most, len(values))
	}
	header = maps.Clone(header)
	maps.DeleteFunc(header, func(name string, _ []string) bool { return slices.Contains(ofAnswers, name) })
	for i := range most { // several values of one header are looked at one by one
		values := map[string]any{}
		for name, all := range header {
			value, err := bridge.Header{name: {all[min(i, len(all)-1)]}}.Value(name)
			if err != nil {
				return fmt.Errorf("header %s: %w", name, err)
			}
			values[name] = value
		}
		if m.headers != nil {
			if err := m.headers.Validate(values); err != nil {
				return fmt.Errorf("headers: %w", err)
			}
		}
	}
	return m.checkPayload(payload)
}

func (m *Message) checkPayload(payload []byte) error {
	if m.payload == nil { // any bytes
		return nil
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	if err == nil {
		err = m.payload.Validate(value)
	}
	if err != nil {
		return fmt.Errorf("payload %.200s: %w", payload, err)
	}
	return nil
}

// RequireStored checks every message that the streams of the document hold, and returns how many
// each channel has.
func (c *Contract) RequireStored(t testing.TB, js jetstream.JetStream) map[string]int {
	t.Helper()
	seen, looked := map[string]int{}, map[string]bool{}
	for _, channel := range c.Channels {
		if channel.Stream == "" || looked[channel.Stream] {
			continue
		}
		looked[channel.Stream] = true
		s, err := js.Stream(context.Background(), channel.Stream)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		require.NoError(t, err)
		info, err := s.Info(context.Background())
		require.NoError(t, err)
		for seq := info.State.FirstSeq; seq <= info.State.LastSeq && info.State.Msgs > 0; seq++ {
			m, err := s.GetMsg(context.Background(), seq)
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				continue
			}
			require.NoError(t, err)
			of, err := c.Check(m.Subject, m.Header, m.Data)
			require.NoError(t, err)
			require.Equal(t, channel.Stream, of.Stream, m.Subject)
			seen[of.Name]++
		}
	}
	return seen
}
