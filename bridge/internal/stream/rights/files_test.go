package rights_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/bridge"
	"github.com/hookspan/hookspan/bridge/internal/stream/rights"
)

var update = flag.Bool("update", false, "write the files of deploy/nats and the table of the documents anew")

// root is the folder of the module.
const root = "../../../.."

// inboxOf is the inbox prefix of a role in the files: each user has its own, so that none can read
// answers to another.
func inboxOf(role string) string { return "_INBOX_hookspan_" + role }

// The files that operators deploy have the rights of the table, and no others.
func TestFilesHaveTheRights(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"accounts.conf": accountsConf(), "nsc.sh": nscCommands()} {
		path := filepath.Join(root, "deploy", "nats", name)
		if *update {
			require.NoError(t, os.WriteFile(path, []byte(text), 0o644)) //nolint:gosec // everybody reads it
		}
		have, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, text, string(have), "write it anew: go test ./bridge/internal/stream/rights -update")
	}
}

// The table of the document is that of the code.
func TestTableOfTheDocument(t *testing.T) {
	t.Parallel()
	path := filepath.Join(root, "docs", "operations.md")
	have, err := os.ReadFile(path)
	require.NoError(t, err)
	const begin, end = "<!-- rights: made by go test ./bridge/internal/stream/rights -update -->\n", "<!-- end of rights -->"
	before, rest, found := strings.Cut(string(have), begin)
	require.True(t, found)
	_, after, found := strings.Cut(rest, end)
	require.True(t, found)
	want := before + begin + table() + end + after
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o644)) //nolint:gosec // everybody reads it
		return
	}
	require.Equal(t, want, string(have), "write it anew: go test ./bridge/internal/stream/rights -update")
}

// table has a line for each operation and a column for each role.
func table() string {
	var b strings.Builder
	b.WriteString("\n| operation |")
	for _, role := range rights.Roles() {
		b.WriteString(" " + role.Name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(rights.Roles())) + "\n")
	for _, o := range rights.Operations(bridge.Names{}) {
		b.WriteString("| " + o.Name + " |")
		for _, role := range rights.Roles() {
			mark := ""
			if slices.Contains(role.Does, o.Name) {
				mark = "yes"
			}
			b.WriteString(" " + mark + " |")
		}
		b.WriteString("\n")
	}
	return b.String() + "\n"
}

// namedRights are those of a user of the files.
type namedRights struct {
	name string
	rights.Rights
}

// users are those of the files: one for a process with all roles, and one for each role.
func users() []namedRights {
	const whole = "bridge"
	out := []namedRights{{whole, rights.Of(bridge.Names{}, inboxOf(whole), rights.Ingress, rights.Consumers, rights.Reconciler, rights.Admin)}}
	for _, role := range rights.Roles() {
		out = append(out, namedRights{role.Name, rights.Of(bridge.Names{}, inboxOf(role.Name), role.Name)})
	}
	return out
}

func password(role string) string { return "$HOOKSPAN_" + strings.ToUpper(role) + "_PASSWORD" }

// accountsConf is the file of accounts and users.
func accountsConf() string {
	var b strings.Builder
	b.WriteString(`# The accounts and users of Hookspan. Made of the table of rights in
# bridge/internal/stream/rights: change that, not this file.
#
# Each password is read from the server's environment. Begin it with a letter: the
# configuration takes other words for numbers.
#
# Each user has an inbox of its own. Set nats.inbox_prefix in the configuration of its process
# to that inbox, such as ` + inboxOf("ingress") + `, and nats.provision to verify or none. One process with
# all roles is user bridge; a process with one role is the user of that name.
#
# A server with accounts has JetStream in those that enable it and no longer in the default one,
# where its streams were until now: docs/recipes/own-nats.md says how they come along.

accounts {
  HOOKSPAN {
    jetstream: enabled
    users: [
`)
	for _, u := range users() {
		writeUser(&b, u.name, u.Rights)
	}
	b.WriteString(`    ]
    # When the servers sync, which hookspan doctor asks.
    imports: [{service: {account: SYS, subject: "` + rights.SyncPolicy + `"}}]
    # What programs in accounts of their own may import, see below.
    exports: [
      {service: "$JS.API.INFO"}
      {service: "$JS.API.CONSUMER.INFO.HOOKSPAN_EVENTS.>"}
      {service: "$JS.API.CONSUMER.MSG.NEXT.HOOKSPAN_EVENTS.>", response_type: stream}
      {service: "$JS.ACK.HOOKSPAN_EVENTS.>"}
      {service: "hookspan.wait.>"}
      {service: "hookspan.watch.*"}
    ]
  }

  # The program of one pull consumer, here "search". Write one such account for each program.
  SEARCH {
    users: [{user: search, password: $HOOKSPAN_SEARCH_PASSWORD}]
    imports: [
      {service: {account: HOOKSPAN, subject: "$JS.API.INFO"}}
      {service: {account: HOOKSPAN, subject: "$JS.API.CONSUMER.INFO.HOOKSPAN_EVENTS.search"}}
      {service: {account: HOOKSPAN, subject: "$JS.API.CONSUMER.MSG.NEXT.HOOKSPAN_EVENTS.search"}}
      {service: {account: HOOKSPAN, subject: "$JS.ACK.HOOKSPAN_EVENTS.search.>"}}
      {service: {account: HOOKSPAN, subject: "hookspan.wait.search.>"}, to: "hookspan.later.search.>"}
      {service: {account: HOOKSPAN, subject: "hookspan.watch.*"}}
    ]
  }

  # What watches the servers, such as "nats server report jetstream".
  SYS {
    exports: [{service: "` + rights.SyncPolicy + `", accounts: [HOOKSPAN]}]
    users: [
      {user: monitor, password: $HOOKSPAN_MONITOR_PASSWORD, permissions: {
        publish: ["$SYS.REQ.SERVER.PING.>", "$SYS.REQ.ACCOUNT.PING.>"]
        subscribe: ["_INBOX.>"]
      }}
    ]
  }
}
system_account: SYS
`)
	return b.String()
}

func writeUser(b *strings.Builder, name string, r rights.Rights) {
	fmt.Fprintf(b, "      {user: %s, password: %s, permissions: {\n        publish: ", name, password(name))
	list := func(subjects []string, indent string) {
		b.WriteString("[\n")
		for _, s := range subjects {
			fmt.Fprintf(b, "%s  %q\n", indent, s)
		}
		fmt.Fprintf(b, "%s]\n", indent)
	}
	list(r.Publish, "        ")
	b.WriteString("        subscribe: ")
	list(r.Subscribe, "        ")
	if r.Answers {
		b.WriteString("        allow_responses: {max: -1, expires: \"2m\"}\n")
	}
	b.WriteString("      }}\n")
}

// nscCommands make the same users where accounts are JWTs.
func nscCommands() string {
	var b strings.Builder
	b.WriteString(`#!/bin/sh
# The users of Hookspan where accounts are JWTs, for operators who use nsc: a signing key of the
# account for each role, with its rights, and a user that it signs. In the JWT of a user so many
# rights would be larger than a server takes. Made of the table of rights in
# bridge/internal/stream/rights: change that, not this file.
# Usage: nsc.sh ACCOUNT, of an account that has JetStream. The credentials of each user are
# written by "nsc generate creds --account ACCOUNT --name USER".
set -eu
account=${1:?usage: nsc.sh ACCOUNT}
`)
	for _, r := range users() {
		fmt.Fprintf(&b, "\nnsc edit signing-key --account \"$account\" --sk generate --role %s", r.name)
		flags := func(flag string, subjects []string) {
			for chunk := range slices.Chunk(subjects, 4) {
				fmt.Fprintf(&b, " \\\n  --%s '%s'", flag, strings.Join(chunk, ","))
			}
		}
		flags("allow-pub", r.Publish)
		flags("allow-sub", r.Subscribe)
		if r.Answers {
			b.WriteString(" \\\n  --allow-pub-response=-1 --response-ttl 2m")
		}
		fmt.Fprintf(&b, "\nnsc add user --account \"$account\" --name %s -K %s\n", r.name, r.name)
	}
	return b.String()
}
