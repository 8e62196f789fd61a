package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A real Prometheus scrapes a program that works, loads the alert rules, and finds
// something for every query of the dashboard.
func TestPrometheus(t *testing.T) {
	target, err := url.Parse(busy(t))
	if err != nil {
		t.Fatal(err)
	}
	api := startPrometheus(t, target.Host)
	missing := map[string]string{} // queries by what they are for
	for _, p := range readDashboard(t).Panels {
		for _, q := range p.Targets {
			missing[p.Title+" "+q.RefID] = q.Expr
		}
	}
	deadline := time.Now().Add(patience)
	for len(missing) > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("nothing is found for %q", missing)
		}
		time.Sleep(200 * time.Millisecond)
		for title, query := range missing {
			query = strings.NewReplacer("$__rate_interval", "1m", "$job", ".+", "$instance", ".+").Replace(query)
			var found struct{ Result []any }
			readAPI(t, api+"query?query="+url.QueryEscape(query), &found)
			if len(found.Result) > 0 {
				delete(missing, title)
			}
		}
	}
	var rules struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	loaded := 0
	for want := len(readAlerts(t)); loaded < want; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d rules are evaluated, want %d: %+v", loaded, want, rules)
		}
		loaded = 0
		readAPI(t, api+"rules", &rules)
		for _, g := range rules.Groups {
			for _, r := range g.Rules {
				if r.Health == "ok" {
					loaded++
				}
			}
		}
	}
}

// startPrometheus has a Prometheus scrape the target every second, and returns the URL
// of its API once it answers.
func startPrometheus(t *testing.T, target string) (api string) {
	t.Helper()
	rules, err := filepath.Abs(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\n"+
		"scrape_configs: [{job_name: ringcast, static_configs: [{targets: [%q]}]}]\n", rules, target)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	log := newOutput()
	cmd := exec.Command("prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v (make tools installs it)", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // fails where it has ended
		_ = cmd.Wait()
	})
	log.awaitLine(t, "Server is ready to receive web requests")
	return "http://" + address + "/api/v1/"
}

// freeAddress returns one that was free a moment ago: Prometheus does not say which
// port it takes of its own choice.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// readAPI reads the data of an answer of Prometheus' API.
func readAPI(t *testing.T, url string, data any) {
	t.Helper()
	code, body := get(t, url)
	answer := struct{ Data any }{data}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || code != 200 {
		t.Fatalf("%s: %d: %v: %s", url, code, err, body)
	}
}
