package source

import (
	"fmt"
	"maps"
	"reflect"
	"time"
)

// Options change what a kind says; what is empty stays.
type Options struct {
	// Signature is merged into the kind's. Of a kind whose secret is in a header only Header
	// counts.
	Signature HMAC
	// Body and Answer are merged into the kind's, list by list.
	Body, Answer Body
	// Result is the path of a prediction behind the address of the API.
	Result string
	// Header replaces the headers of requests to the API.
	Header map[string]string
	// KeysURL replaces the address of the sender's public keys.
	KeysURL string
	// OutputLife and RetrySpan replace those of the kind.
	OutputLife, RetrySpan time.Duration
}

// Customize returns the kind of that name with the options. The error names the option that is
// missing or does not fit.
func Customize(name string, o Options) (*Kind, error) {
	known, err := KindOf(name)
	if err != nil {
		return nil, err
	}
	k := *known
	if k.Proof, err = customProof(known, o.Signature); err != nil {
		return nil, err
	}
	if o.KeysURL != "" {
		if _, is := k.Proof.(*ed25519Keys); !is {
			return nil, fmt.Errorf("keys_url: senders of kind %s have no public keys", name)
		}
		k.Proof = &ed25519Keys{url: o.KeysURL}
	}
	k.Body, k.Answer = k.Body.with(o.Body), k.Answer.with(o.Answer)
	if o.Result != "" {
		k.API.Result = []ResultPath{{"", o.Result}}
	}
	if len(o.Header) > 0 {
		k.API.Header = o.Header
	}
	merge(&k.OutputLife, o.OutputLife)
	merge(&k.RetrySpan, o.RetrySpan)
	if k.Confirm == ConfirmAlways && len(k.API.Result) == 0 || k.NoWebhook && len(k.API.Result) == 0 {
		return nil, fmt.Errorf("api.result: say behind which path of the API a prediction is, such as /predictions/{id}")
	}
	return &k, nil
}

func customProof(k *Kind, o HMAC) (Proof, error) {
	if o == (HMAC{}) {
		if h, is := k.Proof.(*HMAC); is {
			return h, h.check()
		}
		return k.Proof, nil
	}
	switch p := k.Proof.(type) {
	case *HMAC:
		h := *p
		mergeAll(&h, o)
		return &h, h.check()
	case *Standard:
		s := *p
		mergeAll(&s.HMAC, o)
		return &s, s.check()
	case *SharedSecret:
		return &SharedSecret{Header: o.Header}, onlyHeader(o)
	case nil:
		if k.Name == sharedSecret.Name {
			return &SharedSecret{Header: o.Header}, onlyHeader(o)
		}
	}
	return nil, fmt.Errorf("signature: deliveries of kind %s have none that could be changed", k.Name)
}

func onlyHeader(o HMAC) error {
	if o != (HMAC{Header: o.Header}) {
		return fmt.Errorf("signature: the secret stands in a header, so only signature.header counts")
	}
	return nil
}

func (b Body) with(o Body) Body {
	statuses := b.Statuses
	if len(o.Statuses) > 0 {
		statuses = maps.Clone(statuses)
		if statuses == nil {
			statuses = map[string]string{}
		}
		maps.Copy(statuses, o.Statuses)
	}
	if mergeAll(&b, o) {
		b.Plain = false
	}
	b.Statuses = statuses
	return b
}

func merge[T comparable](into *T, value T) {
	var zero T
	if value != zero {
		*into = value
	}
}

// mergeAll sets the fields of a struct that are not empty in another, and reports whether there
// are any.
func mergeAll[T any](into *T, from T) bool {
	changed := false
	to, src := reflect.ValueOf(into).Elem(), reflect.ValueOf(from)
	for i := range src.NumField() {
		if field := src.Field(i); !field.IsZero() {
			to.Field(i).Set(field)
			changed = true
		}
	}
	return changed
}
