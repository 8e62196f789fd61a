package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

const (
	dashboardFile = "../../deploy/grafana/ringcast.json"
	alertsFile    = "../../deploy/prometheus/alerts.yaml"
	alertsTests   = "../../deploy/prometheus/alerts_test.yaml"
	metricsPage   = "../../deploy/METRICS.md"
)

// families are metrics as a scrape has them, by name.
type families map[string]*dto.MetricFamily

// scrape reads the metrics at url in the form that is asked for.
func scrape(t *testing.T, url string, form expfmt.Format) (families, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", string(form))
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v: %s", res.Status, err, body)
	}
	all := make(families)
	dec := expfmt.NewDecoder(bytes.NewReader(body), expfmt.ResponseFormat(res.Header))
	for {
		var f dto.MetricFamily
		switch err := dec.Decode(&f); err {
		case nil:
			all[f.GetName()] = &f
		case io.EOF:
			return all, body
		default:
			t.Fatal(err)
		}
	}
}

var plainText = expfmt.NewFormat(expfmt.TypeTextPlain)

// value returns that of a counter or gauge, or the observations of a histogram, with
// the labels "name=value"; ok is false where there is none.
func (all families) value(name string, with ...string) (value float64, ok bool) {
	for _, m := range all[name].GetMetric() {
		var has []string
		for _, l := range m.GetLabel() {
			has = append(has, l.GetName()+"="+l.GetValue())
		}
		if slices.ContainsFunc(with, func(l string) bool { return !slices.Contains(has, l) }) {
			continue
		}
		return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount()), true
	}
	return 0, false
}

// busy starts a server and has it do what it is for: publish, deliver, resume, refuse.
func busy(t *testing.T) (metricsURL string) {
	t.Helper()
	server, ready := serve(t, "--data-dir", t.TempDir(), "--admin-listen", "127.0.0.1:0", "--publish-max-bytes", "10B")
	ids := commandWith(t, strings.NewReader(numbers(1, 100)), "pub", "events.n", "--lines", "--url", ready.URL)
	for range 2 { // the second is a duplicate
		if code, _ := request(t, http.MethodPost, ready.URL+"v1/publish/events.n", "101", "Idempotency-Key", "once"); code != http.StatusOK {
			t.Fatalf("publish: %d", code)
		}
	}
	if code, _ := request(t, http.MethodPost, ready.URL+"v1/publish/events.n", "more than ten bytes"); code != http.StatusRequestEntityTooLarge {
		t.Fatalf("beyond the limit: %d", code)
	}
	command(t, "sub", "events.n", "--last-event-id", ids[89], "--count", "11", "--url", ready.URL)
	command(t, "sub", "events.n", "--last-event-id", "rubbish", "--from", "oldest", "--count", "101", "--url", ready.URL)
	return adminURL(t, server) + "metrics"
}

// measured is what a metric, with a label or "", is to be.
type measured struct {
	name, label string
	value       float64
}

// awaitMetrics scrapes until everything is as it is to be: a delivery is counted after
// its client may have it, a stream leaves when that is noticed, a commit follows.
func awaitMetrics(t *testing.T, url string, wants []measured) (got families) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		got, _ = scrape(t, url, plainText)
		wrong := slices.DeleteFunc(slices.Clone(wants), func(w measured) bool {
			value, ok := got.value(w.name, strings.Fields(w.label)...)
			return ok && value == w.value
		})
		if len(wrong) == 0 {
			return got
		}
		if time.Now().After(deadline) {
			for _, w := range wrong {
				value, ok := got.value(w.name, strings.Fields(w.label)...)
				t.Errorf("%s %s is %v (%t), want %v", w.name, w.label, value, ok, w.value)
			}
			t.FailNow()
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestMetrics_Values(t *testing.T) {
	got := awaitMetrics(t, busy(t), []measured{
		{"ringcast_events_total", "", 101},
		{"ringcast_ring_events", "", 101},
		{"ringcast_ring_head_sequence", "", 101},
		{"ringcast_stream_head_sequence", "", 101},
		{"ringcast_stream_lag_events", "", 0},
		{"ringcast_nats_connected", "", 1},
		{"ringcast_caught_up", "", 1},
		{"ringcast_publishes_total", "outcome=stored", 101},
		{"ringcast_publishes_total", "outcome=duplicate", 1},
		{"ringcast_publish_duration_seconds", "", 102},
		{"ringcast_streams_opened_total", "", 2},
		{"ringcast_resumes_total", "outcome=resumed", 1},
		{"ringcast_resumes_total", "outcome=unknown", 1},
		{"ringcast_resume_events", "", 1},
		{"ringcast_gaps_total", "reason=unknown", 1},
		{"ringcast_deliveries_total", "", 112},
		{"ringcast_refusals_total", "limit=body_size", 1},
		{"ringcast_problems_total", "status=413", 1},
		{"ringcast_streams_open", "carrier=taken_over format=raw", 0},
	})
	if batches, _ := got.value("ringcast_batch_events"); batches == 0 || batches > 101 {
		t.Errorf("101 events came in %v batches", batches)
	}
	if commits, _ := got.value("ringcast_ring_commit_duration_seconds"); commits > 101 {
		t.Errorf("101 events were written in %v commits", commits)
	}
}

func TestMetrics_NATSAway(t *testing.T) {
	store := t.TempDir()
	external := externalNATS(t, store, -1)
	url := external.ClientURL()
	server, ready := serve(t, "--data-dir", t.TempDir(), "--admin-listen", "127.0.0.1:0", "--nats-url", url)
	external.Shutdown()
	if code, _ := request(t, http.MethodPost, ready.URL+"v1/publish/events.n", "x"); code != http.StatusServiceUnavailable {
		t.Errorf("publish without NATS: %d", code)
	}
	metrics := adminURL(t, server) + "metrics"
	awaitMetrics(t, metrics, []measured{
		{"ringcast_nats_connected", "", 0},
		{"ringcast_publishes_total", "outcome=failed", 1},
		{"ringcast_publish_duration_seconds", "", 0},
		{"ringcast_problems_total", "status=503", 1},
	})
	externalNATS(t, store, portOf(t, url))
	got := awaitMetrics(t, metrics, []measured{{"ringcast_nats_connected", "", 1}})
	if n, _ := got.value("ringcast_nats_reconnects_total"); n < 1 {
		t.Errorf("%v reconnects after NATS was away", n)
	}
}

// A Prometheus that asks for it gets native buckets, beside the classic ones.
func TestMetrics_NativeBuckets(t *testing.T) {
	url := busy(t)
	got, _ := scrape(t, url, expfmt.NewFormat(expfmt.TypeProtoDelim))
	for _, name := range []string{"ringcast_batch_events", "ringcast_publish_duration_seconds", "ringcast_resume_events"} {
		for _, m := range got[name].GetMetric() {
			h := m.GetHistogram()
			if len(h.GetBucket()) < 5 || len(h.GetPositiveSpan()) == 0 || h.GetSampleCount() == 0 {
				t.Errorf("%s: %d classic buckets, native ones in %v, of %d", name, len(h.GetBucket()), h.GetPositiveSpan(), h.GetSampleCount())
			}
		}
	}
}

// What the program exports is what deploy/METRICS.md describes, and passes Prometheus'
// own rules for names.
func TestMetrics_Names(t *testing.T) {
	got, text := scrape(t, busy(t), plainText)
	promtool(t, bytes.NewReader(text), "check", "metrics")
	page := readFile(t, metricsPage)
	var described []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(ringcast_[a-z_]+)` \\|").FindAllStringSubmatch(page, -1) {
		described = append(described, m[1])
	}
	for name := range got {
		if strings.HasPrefix(name, "ringcast_") && !slices.Contains(described, name) {
			t.Errorf("%s is exported and not described", name)
		}
	}
	for _, name := range described {
		if got[name] == nil {
			t.Errorf("%s is described and not exported", name)
		}
	}
}

// What the dashboard and the alerts look at is what the program exports, and every
// metric of its own is on one of them.
func TestMetrics_Queries(t *testing.T) {
	got, _ := scrape(t, busy(t), plainText)
	used := map[string]bool{}
	for where, query := range queries(t) {
		for _, s := range selectors(query) {
			used[s.metric] = true
			if !got.has(s) {
				t.Errorf("%s: there is no %s with %v", where, s.metric, s.labels)
			}
		}
	}
	for name, family := range got {
		if family.GetType() == dto.MetricType_HISTOGRAM {
			name += "_bucket"
		}
		if strings.HasPrefix(name, "ringcast_") && !used[name] {
			t.Errorf("%s is on no panel and in no alert", name)
		}
	}
}

// queries are those of the dashboard and the alerts, by what they are for.
func queries(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			all["panel "+p.Title+" "+target.RefID] = target.Expr
		}
	}
	for _, r := range readAlerts(t) {
		all["alert "+r.name] = r.expr
	}
	return all
}

// selector is a metric in a query, with the labels "name=value" that it is to have.
type selector struct {
	metric string
	labels []string
}

var (
	metricPattern = regexp.MustCompile(`\b((?:ringcast|go|process)_[a-z_]+)(?:\{([^}]*)\})?`)
	labelPattern  = regexp.MustCompile(`([a-z]+)="([^"]*)"`)
)

// selectors finds the metrics of a query. Those of other names it leaves to
// TestPrometheus, where each query has to find something.
func selectors(query string) (all []selector) {
	for _, m := range metricPattern.FindAllStringSubmatch(query, -1) {
		s := selector{metric: m[1]}
		for _, l := range labelPattern.FindAllStringSubmatch(m[2], -1) {
			s.labels = append(s.labels, l[1]+"="+l[2])
		}
		all = append(all, s)
	}
	return all
}

// has reports whether the scrape has what is selected.
func (all families) has(s selector) bool {
	name := strings.TrimSuffix(s.metric, "_bucket")
	if all[name].GetType() == dto.MetricType_SUMMARY {
		return true // its quantiles are no labels here
	}
	_, ok := all.value(name, s.labels...)
	return ok
}

// dashboard is what matters here of one of Grafana's.
type dashboard struct {
	UID, Title    string
	SchemaVersion int
	Panels        []panel
	Templating    struct{ List []struct{ Name, Type string } }
}

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Datasource               struct{ Type, UID string }
	FieldConfig              struct{ Defaults struct{ Unit string } }
	Targets                  []struct{ RefID, Expr, LegendFormat string }
}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(readFile(t, dashboardFile)), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// Grafana loads what is wrong without a word, so it is looked for here.
func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	if d.UID != "ringcast" || d.Title == "" || d.SchemaVersion < 39 {
		t.Errorf("dashboard %q %q of schema %d", d.UID, d.Title, d.SchemaVersion)
	}
	var variables []string
	for _, v := range d.Templating.List {
		variables = append(variables, v.Name)
	}
	if !slices.Equal(variables, []string{"datasource", "job", "instance"}) {
		t.Errorf("variables %v", variables)
	}
	var rows []string
	ids, cells := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("panel %q has id %d, as another has", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, taken := cells[[2]int{x, y}]; taken || x >= 24 {
					t.Fatalf("panel %q is outside, or where %q is", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			rows = append(rows, p.Title)
			continue
		}
		if p.Title == "" || p.Description == "" || p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 || p.FieldConfig.Defaults.Unit == "" && p.Type != "table" {
			t.Errorf("panel lacks something: %+v", p)
		}
		for _, target := range p.Targets {
			if !strings.Contains(target.Expr, `{job=~"$job", instance=~"$instance"`) {
				t.Errorf("panel %q does not select the instances: %s", p.Title, target.Expr)
			}
			if p.Type == "timeseries" && target.LegendFormat == "" {
				t.Errorf("panel %q has a nameless series", p.Title)
			}
		}
	}
	if want := []string{"Traffic", "Clients", "Questions", "Ring", "NATS", "Refusals", "Process"}; !slices.Equal(rows, want) {
		t.Errorf("rows %v, want %v", rows, want)
	}
}

// alert is a rule of deploy/prometheus.
type alert struct{ name, expr, severity, summary, description string }

func readAlerts(t *testing.T) (all []alert) {
	t.Helper()
	file, err := yaml.Parser().Unmarshal([]byte(readFile(t, alertsFile)))
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range file["groups"].([]any) {
		for _, rule := range group.(map[string]any)["rules"].([]any) {
			r := rule.(map[string]any)
			texts, severity := r["annotations"].(map[string]any), r["labels"].(map[string]any)["severity"]
			all = append(all, alert{
				name: r["alert"].(string), expr: r["expr"].(string), severity: severity.(string),
				summary: texts["summary"].(string), description: texts["description"].(string),
			})
		}
	}
	return all
}

// Every alert says what to do, and fires and does not fire in alerts_test.yaml.
func TestAlerts(t *testing.T) {
	promtool(t, nil, "check", "rules", alertsFile)
	promtool(t, nil, "test", "rules", alertsTests)
	tests := readFile(t, alertsTests)
	for _, a := range readAlerts(t) {
		if !slices.Contains([]string{"critical", "warning"}, a.severity) || a.summary == "" || len(a.description) < 100 {
			t.Errorf("alert %s: severity %q, %q, %q", a.name, a.severity, a.summary, a.description)
		}
		_, test, _ := strings.Cut(tests, "- name: "+a.name+"\n")
		test, _, _ = strings.Cut(test, "  - name: ")
		fires := regexp.MustCompile(`(?m)^ +- (exp_)?labels: .*"bad:1".*severity(: |=")` + a.severity)
		if !fires.MatchString(test) || !strings.Contains(test, `instance="good:1"`) {
			t.Errorf("alert %s is not tested", a.name)
		}
	}
}

// promtool is Prometheus' own tool; make tools installs it.
func promtool(t *testing.T, stdin io.Reader, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "promtool", args...)
	cmd.Stdin = stdin
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 && args[1] == "metrics" {
		t.Errorf("promtool %s: %v (make tools installs it)\n%s", strings.Join(args, " "), err, out)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
