package source

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// falSource returns a source of kind fal whose keys fetch gives.
func falSource(t *testing.T, fetch FetchKeys) (*Source, Delivery) {
	t.Helper()
	src, err := New(Config{Name: "fal", Kind: "fal", FetchKeys: fetch})
	require.NoError(t, err)
	return src, samples(t)["fal"].delivery(t, src, time.Now())
}

func TestKeysThatCannotBeHad(t *testing.T) {
	t.Parallel()
	for name, document := range map[string]string{
		"empty": "", "no JSON": "<html>", "null": "null", "no keys": `{"keys":[]}`, "keys of other types": `{"keys":[{"kty":"RSA","n":"x"},{"kty":"OKP","crv":"X25519","x":"AAAA"}]}`,
		"a short key": `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAA"}]}`, "no base64": `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"!"}]}`, "huge": string(make([]byte, MaxKeys+1)),
	} {
		src, d := falSource(t, func(context.Context, string) ([]byte, error) { return []byte(document), nil })
		_, err := src.Accept(d)
		require.ErrorIs(t, err, ErrNoKeys, name)
		require.NotErrorIs(t, err, ErrNotAuthentic, name)
	}
	src, d := falSource(t, nil)
	_, err := src.Accept(d)
	require.ErrorIs(t, err, ErrNoKeys)
}

// Keys are fetched when they are needed: once for all who wait, again when they may have been
// rotated, and not for every forgery.
func TestKeysAreCached(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		document, fetched := keyDocument(t), atomic.Int64{}
		var failing atomic.Bool
		src, d := falSource(t, func(ctx context.Context, _ string) ([]byte, error) {
			fetched.Add(1)
			select { // a slow server
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(time.Second):
			}
			if failing.Load() {
				return nil, errors.New("away")
			}
			return document, nil
		})
		now := func() Delivery { return samples(t)["fal"].delivery(t, src, time.Now()) }
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if _, err := src.Accept(d); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 1, fetched.Load())

		forged := now()
		forged.Body = []byte(`{"request_id":"other","status":"OK"}`)
		<-time.After(2 * keysAge)
		for range 100 {
			forged := forged
			forged.ReceivedAt = time.Now()
			_, err := src.Accept(forged)
			require.ErrorIs(t, err, ErrNotAuthentic)
		}
		require.LessOrEqual(t, fetched.Load(), int64(2), "forgeries do not have them fetched each time")

		failing.Store(true)
		<-time.After(keysLife / 2)
		_, err := src.Accept(now())
		require.NoError(t, err, "the keys still count")
		<-time.After(keysLife)
		_, err = src.Accept(now())
		require.ErrorIs(t, err, ErrNoKeys, "they are too old, and newer ones cannot be had")
		failing.Store(false)
		<-time.After(2 * keysAge)
		_, err = src.Accept(now())
		require.NoError(t, err)
	})
}

// A sender that rotates its keys is believed at once.
func TestKeysAreRotated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		other := []byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}`)
		document := atomic.Pointer[[]byte]{}
		document.Store(&other)
		src, d := falSource(t, func(context.Context, string) ([]byte, error) { return *document.Load(), nil })
		_, err := src.Accept(d)
		require.ErrorIs(t, err, ErrNotAuthentic)
		right := keyDocument(t)
		document.Store(&right)
		<-time.After(keysAge)
		_, err = src.Accept(samples(t)["fal"].delivery(t, src, time.Now()))
		require.NoError(t, err)
	})
}

// A server that never answers holds a delivery for a bounded time.
func TestKeysNeverCome(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		src, d := falSource(t, func(ctx context.Context, _ string) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() })
		began := time.Now()
		_, err := src.Accept(d)
		require.ErrorIs(t, err, ErrNoKeys)
		require.LessOrEqual(t, time.Since(began), keysTimeout)
	})
}

func FuzzKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAA"}]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		keys, err := parseKeys(document)
		if (len(keys) == 0) == (err == nil) {
			t.Fatalf("%d keys with error %v", len(keys), err)
		}
	})
}
