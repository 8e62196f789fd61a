package sse_test

import (
	"fmt"
	"os"
	"strings"

	"ringcast/broker"
	"ringcast/transport/sse"
)

func ExampleFormat_AppendFrame() {
	e := &broker.Event{
		ID:      broker.ID{Seq: 1042, Stamp: 1584985022570304000},
		Subject: "events.quotes.ACME",
		Type:    "trade",
		Data:    []byte("first line\r\n  second line"),
	}
	os.Stdout.Write(sse.Raw.AppendFrame(nil, e, sse.Source("EVENTS")))
	// Output:
	// event: trade
	// data: first line
	// data:   second line
	// id: 1042-c1ieare1shs0
}

func ExampleDecoder() {
	d := sse.NewDecoder(strings.NewReader("id: 7-10\n\n:\nevent: trade\ndata: 12.5\nid: 8-11\n\ndata: cut o"))
	for {
		m, err := d.Next()
		if err != nil {
			fmt.Println(err, "after", d.LastEventID())
			return
		}
		fmt.Printf("%s %s %s\n", m.LastEventID, m.Type, m.Data)
	}
	// Output:
	// 8-11 trade 12.5
	// EOF after 8-11
}
