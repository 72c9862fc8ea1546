package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/hookspan/hookspan/bridge"
)

// outage is the time in which the store cannot be written, for example because its disk is
// mounted read-only. Meanwhile no event is taken, and the alarm is active.
type outage struct {
	name   string // of the consumer
	where  string
	poll   time.Duration
	try    func(context.Context) error
	alarms bridge.Alarmer

	trying chan struct{} // has one element while a trial is under way

	mu    sync.Mutex
	tried time.Time
	since time.Time // zero while the store can be written, as far as is known
	why   string
}

func newOutage(c Config, files store) *outage {
	where := c.Location.Dir
	if where == "" {
		where = s3Scheme + c.Location.Bucket
	}
	return &outage{
		name: c.Name, where: where, poll: spacePoll, alarms: c.Alarms, trying: make(chan struct{}, 1),
		try: func(ctx context.Context) error { return tryStore(ctx, files) },
	}
}

// found is called when an attempt has failed for a reason of this machine. It tries the store,
// and returns err with why the store cannot be written, or err itself when it can be.
func (o *outage) found(ctx context.Context, err error) error {
	o.examine(ctx)
	if since, why := o.now(); !since.IsZero() {
		return fmt.Errorf("%s: %w", why, err)
	}
	return err
}

// wait returns once the store can be written, as far as is known, or when ctx has ended.
func (o *outage) wait(ctx context.Context) {
	if since, _ := o.now(); since.IsZero() {
		return
	}
	tick := time.NewTicker(o.poll)
	defer tick.Stop()
	for since, _ := o.now(); !since.IsZero(); since, _ = o.now() {
		select {
		case <-tick.C:
			o.examine(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// examine tries the store, unless somebody has done so a moment ago.
func (o *outage) examine(ctx context.Context) {
	select {
	case o.trying <- struct{}{}:
		defer func() { <-o.trying }()
	case <-ctx.Done():
		return
	}
	o.mu.Lock()
	fresh := !o.since.IsZero() && time.Since(o.tried) < o.poll/2
	o.mu.Unlock()
	if fresh {
		return
	}
	err := o.try(ctx)
	if ctx.Err() != nil { // a trial that was cut off shows nothing
		return
	}
	o.note(err)
}

// note notes what a trial has shown. An attempt that goes well shows nothing: it may have found
// everything stored.
func (o *outage) note(err error) {
	o.mu.Lock()
	was := !o.since.IsZero()
	o.tried = time.Now()
	if err == nil {
		o.since, o.why = time.Time{}, ""
	} else {
		o.why = fmt.Sprintf("%s cannot be written: %v", o.where, cause(err))
		if !was {
			o.since = o.tried
		}
	}
	why := o.why
	o.mu.Unlock()
	switch {
	case err != nil:
		o.alarms.Raise(bridge.Alarm{
			Kind: bridge.AlarmArchiveFailed, Subject: o.name, Details: map[string]any{"consumer": o.name},
			Text: "archive waits: " + why + "; " + o.remedy() + ": events wait meanwhile, and are archived by themselves afterwards, as long as the provider has the outputs",
		})
	case was:
		o.alarms.Raise(bridge.Alarm{Kind: bridge.AlarmArchiveFailed, Subject: o.name, Text: o.where + " can be written again", Cleared: true})
	}
}

func (o *outage) remedy() string { return "repair that, or change consumers." + o.name + ".store" }

// now returns since when and why the store cannot be written; the zero time while it can be.
func (o *outage) now() (time.Time, string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.since, o.why
}

// cause leaves out of an error of a file system which file of a trial it is about.
func cause(err error) error {
	if path, is := errors.AsType[*fs.PathError](err); is {
		return path.Err
	}
	return err
}
