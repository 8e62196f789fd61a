//go:build linux

package faults

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// rolled returns a rolling restart of one gateway with 100 streams, told to stop after 10 s
// and gone after 20 s, of which there are 40 seconds as change leaves them: evenly 10
// clients come back in each of ten seconds, and the gateways take half a core.
func rolled(change func(second int, s *Second)) *RollingReport {
	p := &RollingReport{Report: &Report{}, Restarts: []Restart{{Streams: 100, Told: 10 * time.Second, Ended: 20 * time.Second, Ready: 21 * time.Second}}}
	for i := 1; i <= 40; i++ {
		s := Second{At: time.Duration(i) * time.Second, Took: time.Second, Gateways: [nodes]float64{0.25, 0.25}}
		if i > 12 && i <= 22 {
			s.Reconnects = 10
		}
		change(i, &s)
		p.Seconds = append(p.Seconds, s)
	}
	return p
}

func TestRollingReport_Smooth(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(second int, s *Second)
		want   string // in what is wrong; nothing is where empty
	}{
		{"evenly", func(int, *Second) {}, ""},
		{"a spike as long as the drain", func(i int, s *Second) {
			if i > 10 && i <= 20 {
				s.Gateways[2] = 0.6
			}
		}, ""},
		{"a longer spike", func(i int, s *Second) {
			if i > 10 && i <= 21 {
				s.Gateways[2] = 0.6
			}
		}, "from 10s on the gateways took more than 2 times what they do in steady state for 11s"},
		{"as long in two parts", func(i int, s *Second) {
			if i > 10 && i <= 22 && i != 15 {
				s.Gateways[2] = 0.6
			}
		}, ""},
		{"three times in one second", func(i int, s *Second) {
			if i == 15 {
				s.Reconnects = 30
			}
		}, ""},
		{"more", func(i int, s *Second) {
			if i == 15 {
				s.Reconnects = 31
			}
		}, "at 15s 3.1 times as many clients came back"},
		{"more in a look that was late", func(i int, s *Second) {
			if i == 15 {
				s.Reconnects, s.Took = 31, 2*time.Second
			}
		}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := rolled(tc.change).Smooth()
			switch {
			case err == nil && tc.want != "":
				t.Errorf("nothing is wrong, want %q", tc.want)
			case err != nil && (tc.want == "" || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("%v is wrong, want %q", err, tc.want)
			}
		})
	}
}

func TestRollingReport_Refused(t *testing.T) {
	p := rolled(func(int, *Second) {})
	p.Refused = 1
	if err := p.Smooth(); err == nil || !strings.Contains(err.Error(), "1 answers would have ended") {
		t.Errorf("%v is wrong", err)
	}
}

// The chart is XML, with a line for each series of each panel.
func TestRollingReport_Chart(t *testing.T) {
	svg := xml.NewDecoder(strings.NewReader(rolled(func(int, *Second) {}).Chart()))
	lines := 0
	for {
		token, err := svg.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "polyline" {
			lines++
		}
	}
	if want := 1 + 4 + 4 + 1; lines != want {
		t.Errorf("%d lines, want %d", lines, want)
	}
}
