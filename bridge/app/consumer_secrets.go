package app

import (
	"fmt"
	"reflect"

	"github.com/hookspan/hookspan/bridge/config"
)

// consumerSecret has the signing secrets of one consumer, which may change while it runs.
type consumerSecret struct {
	consumer string
	key      string // in the configuration
	refs     []config.SecretRef
	check    func(secret []byte) error
	set      func(secrets [][]byte) error

	now, next [][]byte
}

func (u *consumerSecret) read(getenv func(string) (string, bool)) error {
	u.next = nil
	for _, ref := range u.refs {
		secret, err := ref.Require(getenv)
		if err != nil {
			return fmt.Errorf("%s: %w", u.key, err)
		}
		if err := u.check(secret); err != nil {
			return fmt.Errorf("%s: %w", u.key, fmt.Errorf("%s: %w", ref, err))
		}
		u.next = append(u.next, secret)
	}
	return nil
}

// consumerSecrets are the signing secrets of all consumers of a process, for one goroutine at a
// time.
type consumerSecrets []*consumerSecret

func (users *consumerSecrets) add(u *consumerSecret) {
	u.now = u.next
	*users = append(*users, u)
}

// read looks all secrets up again and changes nothing yet.
func (users consumerSecrets) read(getenv func(string) (string, bool)) error {
	for _, u := range users {
		if err := u.read(getenv); err != nil {
			return err
		}
	}
	return nil
}

// apply sets the secrets that have changed, and names their consumers.
func (users consumerSecrets) apply() ([]string, error) {
	changed := []string{}
	for _, u := range users {
		if reflect.DeepEqual(u.now, u.next) {
			continue
		}
		if err := u.set(u.next); err != nil {
			return changed, fmt.Errorf("%s: %w", u.key, err)
		}
		u.now = u.next
		changed = append(changed, u.consumer)
	}
	return changed, nil
}
