package doctor

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hookspan/hookspan/internal/adminapi"
)

const (
	ok      = adminapi.FindingOK
	note    = adminapi.FindingNote
	warning = adminapi.FindingWarning
	problem = adminapi.FindingProblem
)

var errBroken = errors.New("it is broken")

// Each finding appears with its cause, and goes with it: then the check says that all is well, or
// what remains.
func TestFindingsAppearAndGo(t *testing.T) {
	t.Parallel()
	type judge = func(r *Report)
	sync := func(always bool, every time.Duration) *Sync { return &Sync{Always: always, Interval: every} }
	fsync := func(s Store) judge { return func(r *Report) { r.Fsync(s) } }
	replicas := func(s Store) judge { return func(r *Report) { r.Replicas(s) } }
	streams := func(list ...Stream) judge { return func(r *Report) { r.Streams(list) } }
	disk := func(d Disk) judge { return func(r *Report) { r.Disk(d) } }
	clock := func(ahead, err time.Duration) judge {
		return func(r *Report) { r.Clock(Clock{Of: "NATS", Ahead: ahead, Error: err, MaxAge: time.Hour}) }
	}
	secrets := func(list ...Secret) judge { return func(r *Report) { r.Secrets(list) } }
	source := func(s Source) judge { return func(r *Report) { s.Name = "a"; r.Source(s) } }
	window := func(have time.Duration) judge {
		return func(r *Report) { r.Window(have, []Source{{Name: "a", MaxAge: time.Hour, RetrySpan: time.Minute}}) }
	}
	connection := func(c Connection) judge { return func(r *Report) { r.Connection(c) } }
	rights := func(denied ...string) judge { return func(r *Report) { r.Rights(9, denied) } }
	admin := func(l Listener) judge { return func(r *Report) { r.Admin(l) } }
	long, other := []byte("a-secret-that-is-long-enough"), []byte("another-secret-that-is-long")
	well := Store{Replicas: 3, Servers: 3, Sync: sync(true, 0)}
	sent := Source{HasSecret: true, Polled: true, LastAttempt: time.Minute, RetrySpan: time.Minute, OutputLife: 7 * 24 * time.Hour}
	roomy := Disk{Path: "/x", Free: 10 << 30, Need: 1 << 30}
	for name, c := range map[string]struct {
		appears judge
		level   adminapi.FindingLevel
		check   string
		words   string
		goes    judge
		left    adminapi.FindingLevel // of that check, once the cause is gone
	}{
		"no sync for long, one server":     {fsync(Store{Replicas: 1, Sync: sync(false, time.Minute)}), problem, CheckFsync, "syncs only every 1m0s", fsync(Store{Embedded: true}), ok},
		"unknown sync, one server":         {fsync(Store{Replicas: 1}), warning, CheckFsync, "does not say how often", fsync(well), ok},
		"no sync for long, three servers":  {fsync(Store{Replicas: 3, Sync: sync(false, time.Minute)}), note, CheckFsync, "NATS syncs every 1m0s", fsync(well), ok},
		"unknown sync, three servers":      {fsync(Store{Replicas: 3}), note, CheckFsync, "does not say how often", fsync(well), ok},
		"one disk":                         {replicas(Store{Embedded: true}), note, CheckReplicas, "on one disk", replicas(well), ok},
		"one server":                       {replicas(Store{Replicas: 1}), warning, CheckReplicas, "NATS is one server", replicas(well), ok},
		"one replica in a cluster":         {replicas(Store{Replicas: 1, Servers: 3}), problem, CheckReplicas, "3 servers, and events are on 1", replicas(well), ok},
		"missing stream":                   {streams(Stream{Name: "S", Missing: true}), problem, CheckStreams, "does not exist", streams(Stream{Name: "S"}), ok},
		"stream that drops":                {streams(Stream{Name: "S", Lossy: "it drops"}), problem, CheckStreams, "it drops", streams(Stream{Name: "S"}), ok},
		"stream that differs":              {streams(Stream{Name: "S", Differences: []string{"a", "b"}}), warning, CheckStreams, "a; b", streams(Stream{Name: "S"}), ok},
		"replica that is away":             {streams(Stream{Name: "S", Lagging: []string{"n2"}}), warning, CheckStreams, "n2", streams(Stream{Name: "S"}), ok},
		"short window":                     {window(time.Hour), problem, CheckWindow, "a needs 1h1m0s", window(2 * time.Hour), ok},
		"no connection":                    {connection(Connection{Why: "it is down"}), problem, CheckNATS, "it is down", connection(Connection{Connected: true, TLS: true}), ""},
		"server that is too old":           {connection(Connection{Connected: true, TLS: true, Unfit: "it is too old: upgrade it"}), problem, CheckNATS, "upgrade it", connection(Connection{Connected: true, TLS: true}), ""},
		"connection in clear":              {connection(Connection{Connected: true}), warning, CheckNATSTLS, "in clear", connection(Connection{Connected: true, Local: true}), ok},
		"missing right":                    {rights("$JS.API.X"), problem, CheckRights, "may not do that", rights(), ok},
		"journal in memory":                {disk(Disk{Kind: Memory, Journal: true, Free: 1 << 40}), problem, CheckJournal, "in memory only", disk(Disk{Journal: true, Free: 1 << 40}), ok},
		"journal on the network":           {disk(Disk{Kind: Network, Journal: true, Free: 1 << 40}), warning, CheckJournal, "network file system", disk(Disk{Journal: true, Free: 1 << 40}), ok},
		"full disk":                        {disk(Disk{Free: 1 << 20}), problem, CheckDisk, "1.0 MiB are free", disk(roomy), ok},
		"disk that is far too small":       {disk(Disk{Free: 1 << 30, Need: 20 << 30}), problem, CheckDisk, "may still grow by 20 GiB", disk(roomy), ok},
		"disk that is too small":           {disk(Disk{Free: 10 << 30, Need: 20 << 30}), warning, CheckDisk, "10 GiB are free", disk(roomy), ok},
		"archive without a limit":          {disk(Disk{Free: 1 << 40, Unbounded: true}), note, CheckDisk, "without max_bytes", disk(roomy), ok},
		"few files":                        {func(r *Report) { r.OpenFiles(1024, 1000) }, warning, CheckOpen, "1024 files open, and needs up to 3048", func(r *Report) { r.OpenFiles(3048, 1000) }, ok},
		"clock far off":                    {clock(-40*time.Minute, time.Second), problem, CheckClock, "differs from that of this machine by 40m0s", clock(0, 0), ok},
		"clock off":                        {clock(10*time.Second, time.Second), warning, CheckClock, "by 10s", clock(10*time.Second, 6*time.Second), ok},
		"secret that cannot be read":       {secrets(Secret{Key: "k", Err: errBroken}), problem, CheckSecrets, "it is broken", secrets(Secret{Key: "k", Value: long}), ok},
		"short secret":                     {secrets(Secret{Key: "k", Place: "env:A", Value: long[:15]}), warning, CheckSecrets, "the secret of env:A has fewer than 16 bytes", secrets(Secret{Key: "k", Value: long[:16]}), ok},
		"one secret for two":               {secrets(Secret{Key: "k", Value: long}, Secret{Key: "l", Value: long}), warning, CheckSecrets, "as that of k", secrets(Secret{Key: "k", Value: long}, Secret{Key: "l", Value: other}), ok},
		"secret of everybody":              {secrets(Secret{Key: "k", Place: "file:/a", Value: long, Mode: 0o644}), warning, CheckSecrets, "may read file:/a", secrets(Secret{Key: "k", Value: long, Mode: 0o640}), ok},
		"source without a secret":          {source(Source{Polled: true, LastAttempt: time.Minute}), problem, CheckSource, "every webhook is refused", source(sent), ok},
		"source that is not polled":        {source(Source{HasSecret: true, LastAttempt: time.Minute}), warning, CheckOutage, "nobody asks the provider", source(sent), note},
		"source that is polled":            {source(sent), note, CheckOutage, "an outage of up to 1m0s loses no webhook", nil, ""},
		"API that is away":                 {func(r *Report) { r.Tried(CheckAPI, "a", errBroken) }, warning, CheckAPI, "it is broken", func(r *Report) { r.Tried(CheckAPI, "a", nil) }, ok},
		"target that is away":              {func(r *Report) { r.Tried(CheckTarget, "a", errBroken) }, warning, CheckTarget, "it is broken", func(r *Report) { r.Tried(CheckTarget, "a", nil) }, ok},
		"archive that cannot be written":   {func(r *Report) { r.Tried(CheckArchive, "a", errBroken) }, problem, CheckArchive, "it is broken", func(r *Report) { r.Tried(CheckArchive, "a", nil) }, ok},
		"operators without TLS":            {admin(Listener{Tokens: true}), warning, CheckAdmin, "tokens travel in clear", admin(Listener{Tokens: true, TLS: true}), ok},
		"operators without tokens":         {admin(Listener{}), note, CheckAdmin, "the API is not", admin(Listener{Loopback: true}), ok},
		"embedded NATS beyond the machine": {func(r *Report) { r.EmbeddedListener(Listener{}) }, warning, CheckNATSTLS, "listens beyond", func(r *Report) { r.EmbeddedListener(Listener{Loopback: true}) }, ""},
		"not ready":                        {func(r *Report) { r.Ready([]string{"x", "y"}) }, problem, CheckReady, "x; y", func(r *Report) { r.Ready(nil) }, ok},
		"view that stands still":           {func(r *Report) { r.View(false, "x") }, problem, CheckView, "stand still: x", func(r *Report) { r.View(true, "") }, ok},
		"view that is behind":              {func(r *Report) { r.View(false, "") }, note, CheckView, "behind", func(r *Report) { r.View(true, "") }, ok},
		"alarm":                            {func(r *Report) { r.Alarms([]Alarm{{"k", "s", "text"}}) }, warning, CheckAlarms, "text", func(r *Report) { r.Alarms(nil) }, ok},
	} {
		t.Run(name, func(t *testing.T) {
			var r Report
			c.appears(&r)
			var found []adminapi.Finding
			for _, f := range r.findings {
				if f.Check == c.check && f.Level == c.level {
					found = append(found, f)
				}
			}
			require.Len(t, found, 1, "%+v", r.findings)
			require.Contains(t, found[0].Why, c.words)
			require.NotEmpty(t, found[0].Remedy)
			require.NotContains(t, found[0].Why+found[0].Remedy, string(long))
			if c.goes == nil {
				return
			}
			var after Report
			c.goes(&after)
			left := []adminapi.FindingLevel{}
			for _, f := range after.findings {
				if f.Check == c.check {
					left = append(left, f.Level)
					require.Equal(t, f.Level == ok, f.Remedy == "", "what is well needs no remedy")
				}
			}
			if c.left == "" {
				require.Empty(t, left)
			} else {
				require.Equal(t, []adminapi.FindingLevel{c.left}, left)
			}
		})
	}
}

func TestGrade(t *testing.T) {
	t.Parallel()
	at := time.Now()
	var r Report
	require.Equal(t, adminapi.Doctor{At: at, Grade: adminapi.GradeSafe, Findings: []adminapi.Finding{}, Unknown: []adminapi.Unchecked{}}, r.Result(at))
	var grades []string
	for _, add := range []func(){
		func() { r.ok("a", "", "x") }, func() { r.note("b", "", "y", "x") }, func() { r.warning("c", "", "y", "x") }, func() { r.problem("d", "s\x1b", "y", "\x1b[31m") },
	} {
		add()
		grades = append(grades, r.Result(at).Grade)
	}
	require.Equal(t, []string{adminapi.GradeSafe, adminapi.GradeSafe, adminapi.GradeFair, adminapi.GradeUnsafe}, grades)
	var more Report
	more.warning("e", "", "y", "z")
	more.Unknown("f", "why")
	r.Add(&more)
	d := r.Result(at)
	var order string
	for _, f := range d.Findings {
		order += f.Check
	}
	require.Equal(t, "dceba", order, "the worst first")
	require.Equal(t, []adminapi.Unchecked{{Check: "f", Why: "why"}}, d.Unknown)
	require.NotContains(t, fmt.Sprint(d), "\x1b")
}

// While a leader is elected nobody tells how many replicas there are: that is no finding.
func TestReplicasThatNobodyTells(t *testing.T) {
	var r Report
	r.Replicas(Store{Servers: 3})
	d := r.Result(time.Now())
	require.Empty(t, d.Findings)
	require.Len(t, d.Unknown, 1)
	require.Equal(t, CheckReplicas, d.Unknown[0].Check)
}

// Many alarms do not fill the report.
func TestAlarmsAreBounded(t *testing.T) {
	t.Parallel()
	var r Report
	r.Alarms(make([]Alarm, maxAlarms+7))
	require.Len(t, r.findings, maxAlarms+1)
	require.Contains(t, r.findings[maxAlarms].Why, "7 more")
}
