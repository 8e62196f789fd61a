// Command go-sse follows a stream with github.com/tmaxmax/go-sse and writes what its
// client reports as lines of JSON: the side of the matrix of real clients that is in Go.
//
//	go-sse URL
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/tmaxmax/go-sse"
)

// report is a line; see Report in ../client.ts.
type report struct {
	Kind    string `json:"kind"`
	Type    string `json:"type"`
	Data    string `json:"data"`
	ID      string `json:"id"`
	Message string `json:"message"`
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: go-sse URL")
	}
	request, err := http.NewRequest(http.MethodGet, os.Args[1], nil)
	if err != nil {
		log.Fatal(err)
	}
	out := json.NewEncoder(os.Stdout)
	write := func(r report) {
		if err := out.Encode(r); err != nil {
			log.Fatal(err) // nobody reads any more
		}
	}
	client := sse.Client{
		OnRetry: func(err error, _ time.Duration) { write(report{Kind: "error", Message: err.Error()}) },
		ResponseValidator: func(response *http.Response) error {
			write(report{Kind: "open"})
			return sse.DefaultValidator(response)
		},
	}
	connection := client.NewConnection(request)
	connection.SubscribeToAll(func(e sse.Event) {
		write(report{Kind: "event", Type: e.Type, Data: e.Data, ID: e.LastEventID})
	})
	err = connection.Connect() // returns when it will not try again
	write(report{Kind: "error", Message: err.Error()})
	write(report{Kind: "closed"})
}
