package presence_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ringcast/broker"
	"ringcast/transport/jetstream"
	"ringcast/transport/presence"
)

const room = "events.room.42"

// tells checks what was told on the subject, in all.
func (i *instance) tells(subject string, want ...told) {
	i.rig.t.Helper()
	for n := range want {
		want[n].Subject = subject
	}
	if diff := cmp.Diff(want, i.history(subject), cmpopts.IgnoreUnexported(told{}), cmpopts.EquateEmpty()); diff != "" {
		i.rig.t.Errorf("what was told of %s differs (-want +got):\n%s", subject, diff)
	}
}

func join(count int, identities ...string) told {
	return told{Type: "join", Identities: identities, Count: count}
}

func leave(count int, identities ...string) told {
	return told{Type: "leave", Identities: identities, Count: count}
}

// Several streams of one identity are one presence, which ends the grace after the last.
func TestTracker(t *testing.T) {
	a := newRig(t).start("a")
	first := a.enter("ann", room)
	a.sees(room, "ann")
	second := a.enter("ann", room, "events.elsewhere")
	first()
	bob := a.enter("bob", room)
	a.sees(room, "ann", "bob")
	second()
	a.sees(room, "bob")
	bob()
	a.sees(room)
	a.tells(room, join(1, "ann"), join(2, "bob"), leave(1, "ann"), leave(0, "bob"))
	a.tells("events.elsewhere")
}

// Who is nobody in particular is not told of, nor is a wildcard, nor presence itself.
func TestTracker_untold(t *testing.T) {
	a := newRig(t).start("a")
	a.enter("", room)
	a.enter(strings.Repeat("x", presence.MaxIdentity+1), room)
	a.enter("not \xff UTF-8", room)
	a.enter("ann", "events.room.*", "events.other", "events.$presence.room.42")
	a.enter("zoe", room)() // came and went
	a.enter("bob", room)
	a.sees(room, "bob")
	if all := a.history("events.>"); len(all) != 1 {
		t.Errorf("told: %+v", all)
	}
	for subject, want := range map[string]bool{
		room: true, "events.notify.a.b": true, "events.room.*": false, "events.room": false, "events.other": false, "events.$presence.room.42": false,
	} {
		if a.Tracks(subject) != want {
			t.Errorf("tracks %s: %v", subject, !want)
		}
	}
	var none *presence.Tracker
	none.Enter("ann", filter(t, room))
	none.Leave("ann", filter(t, room))
}

// Who comes back within the grace has not left, on whichever gateway.
func TestTracker_reconnects(t *testing.T) {
	r := newRig(t)
	a, b := r.start("a"), r.start("b")
	leaveA := a.enter("ann", room)
	b.sees(room, "ann")
	leaveA()
	leaveA = a.enter("ann", room) // a reload
	leaveA()
	leaveB := b.enter("ann", room) // another gateway
	later := a.enter("later", room)
	a.sees(room, "ann", "later")
	later()
	b.sees(room, "ann") // by then ann would have left
	leaveB()
	b.sees(room)
	a.tells(room, join(1, "ann"), join(2, "later"), leave(1, "later"), leave(0, "ann"))
	b.tells(room, join(1, "ann"), join(2, "later"), leave(1, "later"), leave(0, "ann"))
}

// The clients of a gateway that dies leave once, but for those who came back elsewhere.
func TestTracker_killed(t *testing.T) {
	r := newRig(t)
	a, b, c := r.start("a"), r.start("b"), r.start("c")
	a.enter("ann", room)
	a.enter("moves", room)
	b.enter("bob", room)
	c.enter("cat", "events.room.7")
	a.enter("ann", "events.room.7")
	b.sees(room, "ann", "bob", "moves")
	b.sees("events.room.7", "ann", "cat")
	a.kill()
	c.enter("moves", room)
	b.sees(room, "bob", "moves")
	c.sees("events.room.7", "cat")
	// Nothing follows that would take it back or tell it again.
	c.enter("end", room)
	b.sees(room, "bob", "end", "moves")
	for _, i := range []*instance{b, c} {
		leaves := 0
		for _, one := range i.history("events.>") {
			if one.Type == "leave" {
				leaves += len(one.Identities)
				if !slices.Equal(one.Identities, []string{"ann"}) {
					t.Errorf("left: %+v", one)
				}
			}
		}
		if leaves != 2 {
			t.Errorf("%d leaves were told, want one for each room", leaves)
		}
	}
}

// A rolling restart is no leave: neither of those who go to the other gateway, nor of
// those who come back to the new one.
func TestTracker_rolling_restart(t *testing.T) {
	r := newRig(t)
	a, b := r.start("a"), r.start("b")
	var leaves []func()
	names := []string{}
	for n := range 20 {
		names = append(names, fmt.Sprintf("n%02d", n))
		leaves = append(leaves, []*instance{a, b}[n%2].enter(names[n], room))
	}
	a.sees(room, names...)
	before := len(a.history(room))
	for n := 0; n < 20; n += 2 {
		leaves[n]() // the drain
	}
	a.stop()
	for n := 0; n < 20; n += 4 {
		b.enter(names[n], room)
	}
	a = r.start("a")
	for n := 2; n < 20; n += 4 {
		a.enter(names[n], room)
	}
	// Long enough for all that is due: the gone run is forgotten, the new one has settled.
	marker := b.enter("marker", room)
	a.sees(room, append([]string{"marker"}, names...)...)
	marker()
	a.sees(room, names...)
	if all := a.history(room); len(all) != before+2 {
		t.Errorf("a restart was told: %+v", all[before:])
	}
}

// What nobody has is found by the one gateway that comes back, whatever it was called.
func TestTracker_restart_of_all(t *testing.T) {
	r := newRig(t)
	a := r.start("a")
	a.enter("ann", room)
	a.enter("bob", room)
	a.sees(room, "ann", "bob")
	a.kill()
	a = r.start("another name")
	a.sees(room, "ann", "bob")
	a.enter("bob", room)
	a.sees(room, "bob")
	last := a.history(room)
	if one := last[len(last)-1]; one.Type != "leave" || one.Count != 1 {
		t.Errorf("told: %+v", last)
	}
}

// Thousands who come at once are told of in a few events.
func TestTracker_storm(t *testing.T) {
	r := newRig(t)
	a, b := r.start("a"), r.start("b")
	const clients = 2000
	var leaves []func()
	for n := range clients {
		leaves = append(leaves, []*instance{a, b}[n%2].enter(fmt.Sprintf("client-%04d", n), room))
	}
	count := func(i *instance) int { return len(i.present(room)) }
	r.await("all to be there", func() bool { return count(a) == clients && count(b) == clients })
	joins := len(a.history(room))
	for _, leave := range leaves {
		leave()
	}
	r.await("all to have left", func() bool { return count(a) == 0 && count(b) == 0 })
	leaves2 := len(b.history(room)) - joins
	t.Logf("%d joins in %d events, as many leaves in %d", clients, joins, leaves2)
	if joins > 40 || leaves2 > 40 {
		t.Errorf("%d events of joins and %d of leaves for %d clients", joins, leaves2, clients)
	}
}

// Everybody on a subject of their own, as with notifications: every one is told once.
func TestTracker_own_subjects(t *testing.T) {
	r := newRig(t)
	a, b := r.start("a"), r.start("b")
	const clients = 1500
	var leaves []func()
	for n := range clients {
		leaves = append(leaves, a.enter(fmt.Sprint("c", n), fmt.Sprint("events.notify.c", n)))
	}
	all := func(want int) func() bool {
		return func() bool {
			n := 0
			for c := range clients {
				n += len(b.present(fmt.Sprint("events.notify.c", c)))
			}
			return n == want
		}
	}
	r.await("all to be there", all(clients))
	for _, leave := range leaves {
		leave()
	}
	r.await("all to have left", all(0))
	if n := len(b.history("events.notify.>")); n != 2*clients {
		t.Errorf("%d events, want %d", n, 2*clients)
	}
}

// Of a gateway that the others have given up it is told again who is there, when it is
// back.
func TestTracker_given_up(t *testing.T) {
	r := newRig(t)
	a, b := r.start("a"), r.start("b")
	a.enter("ann", room)
	b.enter("bob", room)
	b.sees(room, "ann", "bob")
	a.client.Core().Close() // as far as the others can tell
	b.sees(room, "bob")
	again := r.start("a")
	again.enter("ann", room)
	b.sees(room, "ann", "bob")
	again.sees(room, "ann", "bob")
	b.history(room)
}

// While NATS is away nobody can be told of anything, and nobody leaves for it: who has
// gone by then leaves when it is back, and who has come comes.
func TestTracker_NATS_restarted(t *testing.T) {
	r := newRig(t)
	a, b := r.start("a"), r.start("b")
	a.enter("ann", room)
	bob := b.enter("bob", room)
	a.sees(room, "ann", "bob")
	r.nats.Shutdown()
	r.await("the break to be noticed", func() bool { return a.peers.View().Since.IsZero() && b.peers.View().Since.IsZero() })
	bob()
	b.enter("cat", room)
	r.startNATS()
	b.sees(room, "ann", "cat")
	a.sees(room, "ann", "cat")
	for _, one := range b.history(room) {
		if one.Type == "leave" && !slices.Equal(one.Identities, []string{"bob"}) {
			t.Errorf("told: %+v", one)
		}
	}
}

// When the stream is replaced, nobody is told of in the new one: they all are again.
func TestTracker_stream_replaced(t *testing.T) {
	r := newRig(t)
	a := r.start("a")
	a.enter("ann", room)
	a.enter("bob", "events.room.7")
	a.sees(room, "ann")
	a.sees("events.room.7", "bob")
	js := a.client.Core()
	if _, err := js.Request("$JS.API.STREAM.DELETE."+stream, nil, patience); err != nil {
		t.Fatal(err)
	}
	r.await("the stream", func() bool { return a.client.EnsureStream(t.Context(), r.stream) == nil })
	r.await("ann to be told of in the new one", func() bool {
		room, ok := a.Room(room)
		return ok && room.At.Seq > 0 && room.At.Seq <= 4 && len(room.Present) == 1 && len(a.present("events.room.7")) == 1
	})
}

// What is told is never pushed out of a small stream unless it is over: a gateway that
// comes later learns of everybody.
func TestTracker_renewed(t *testing.T) {
	r := newRig(t, func(c *jetstream.StreamConfig) { c.MaxEvents = 100 })
	a := r.start("a")
	a.enter("ann", room)
	a.sees(room, "ann")
	since := a.since(room)
	for n := range 300 {
		if _, err := a.client.Publish(t.Context(), broker.Publication{Subject: "events.noise", Data: fmt.Append(nil, n)}); err != nil {
			t.Fatal(err)
		}
		if n%20 == 0 {
			presence.Renew(t.Context(), a.Tracker)
			a.sees(room, "ann")
			r.await("the renewal", func() bool { return presence.Renewed(a.Tracker) })
		}
	}
	if got := a.since(room); !got.Equal(since) {
		t.Errorf("there since %s, want %s", got, since)
	}
	b := r.start("b")
	b.sees(room, "ann")
}

func (i *instance) since(subject string) time.Time {
	i.rig.t.Helper()
	room, ok := i.Room(subject)
	if !ok || len(room.Present) == 0 {
		i.rig.t.Fatalf("nobody on %s", subject)
	}
	return room.Present[0].Since
}

// Anybody who may publish on NATS can claim anything: what is nonsense is passed over,
// and who is nowhere leaves.
func TestTracker_forged(t *testing.T) {
	a := newRig(t).start("a")
	for _, data := range []string{"", "{", `{"subject":"events.room.7","identities":["x"]}`, `{"subject":"events.room.42","identities":["","` + strings.Repeat("y", 300) + `"]}`, `{"subject":"events.room.42","identities":["ghost"],"count":9}`} {
		if _, err := a.client.Publish(t.Context(), broker.Publication{Subject: "events.$presence.room.42", Type: "join", Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
	}
	a.sees(room, "ghost")
	a.enter("ann", room)
	a.sees(room, "ann", "ghost")
	a.sees(room, "ann")
}
