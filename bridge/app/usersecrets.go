package app

import (
	"fmt"
	"reflect"

	"github.com/hookspan/hookspan/bridge/config"
)

// secretUser is a consumer that takes other secrets while it runs.
type secretUser struct {
	consumer string
	key      string // in the configuration
	refs     []config.SecretRef
	check    func(secret []byte) error
	set      func(secrets [][]byte) error

	now, next [][]byte
}

// read looks the secrets up, for what is made of them next.
func (u *secretUser) read(getenv func(string) (string, bool)) error {
	u.next = nil
	for _, ref := range u.refs {
		secret, err := ref.Require(getenv)
		if err != nil {
			return fmt.Errorf("%s: %w", u.key, err)
		}
		if err := u.check(secret); err != nil {
			return fmt.Errorf("%s: %s: %w", u.key, ref, err)
		}
		u.next = append(u.next, secret)
	}
	return nil
}

// secretUsers are the consumers of a process that take other secrets. They are used
// by one goroutine at a time.
type secretUsers []*secretUser

func (users *secretUsers) add(u *secretUser) {
	u.now = u.next
	*users = append(*users, u)
}

// read looks all secrets up again and changes nothing yet.
func (users secretUsers) read(getenv func(string) (string, bool)) error {
	for _, u := range users {
		if err := u.read(getenv); err != nil {
			return err
		}
	}
	return nil
}

// apply gives those their secrets that have others now, and names them.
func (users secretUsers) apply() ([]string, error) {
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
