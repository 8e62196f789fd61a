package demo

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

const (
	// notifySubject, followed by the user, is where notifications are published.
	notifySubject = "events.notify."
	// notificationType is the type of these events (the header Ringcast-Event).
	notificationType = "notification"
)

// notification is the payload of a notification event.
type notification struct {
	User  string    `json:"user"`
	Title string    `json:"title"`
	Body  string    `json:"body"`
	Time  time.Time `json:"time"`
}

var users = []string{"alice", "bob", "carol"}

// templates are what can happen to a user: {other} is another user, {symbol} a
// symbol, {number} a number.
var templates = []struct{ title, body string }{
	{"Order filled", "Your order for {number} {symbol} has been filled."},
	{"Price alert", "{symbol} has moved more than 1 % in the last hour."},
	{"New comment", "{other} replied to your note on {symbol}: “Let's look at this again on Monday.”"},
	{"Report ready", "Your report no. {number} is ready to download."},
	{"Document shared", "{other} shared “Quarterly outlook: {symbol}” with you."},
	{"Meeting in 10 minutes", "Portfolio review with {other}, room {number}."},
	{"Deployment finished", "Build {number} is live; all checks passed. 🎉"},
	{"Payment received", "{other} paid invoice {number}."},
	{"Sign-in from a new device", "If this was not you, change your password."},
	{"Watchlist", "{other} added {symbol} to the watchlist that you share."},
}

func newNotification(rng *rand.Rand, symbols []*instrument, now time.Time) notification {
	user := rng.IntN(len(users))
	other := (user + 1 + rng.IntN(len(users)-1)) % len(users)
	template := templates[rng.IntN(len(templates))]
	words := strings.NewReplacer(
		"{other}", capitalised(users[other]),
		"{symbol}", symbols[rng.IntN(len(symbols))].symbol,
		"{number}", strconv.Itoa(100+rng.IntN(900)),
	)
	return notification{
		User:  users[user],
		Title: template.title,
		Body:  words.Replace(template.body),
		Time:  now.UTC().Truncate(time.Millisecond),
	}
}

func capitalised(name string) string { return strings.ToUpper(name[:1]) + name[1:] }
