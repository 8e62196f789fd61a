package deploy_test

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"sigs.k8s.io/yaml"
)

// Values that cannot work are refused with the name of the value.
func TestChart_Refuses(t *testing.T) {
	for values, want := range map[string]string{
		`mode: clustered`:   `at '/mode': value must be one of 'embedded', 'external'`,
		`replica: 3`:        `additional properties 'replica' not allowed`,
		`config:`:           `at '': missing property 'config'`,
		`replicas: 0`:       `at '/replicas': minimum: got 0, want 1`,
		`replicas: "three"`: `at '/replicas': got string, want integer`,

		`config: {heartbeet: 20s}`:               `at '/config': additional properties 'heartbeet' not allowed`,
		`config: {heartbeat: 20}`:                `at '/config/heartbeat': got number, want string`,
		`config: {stream-replicas: 7}`:           `at '/config/stream-replicas': maximum: got 7, want 5`,
		`config: {ring-max-bytes: much}`:         `at '/config/ring-max-bytes': 'much' does not match pattern`,
		`config: {listen: ":80"}`:                `at '/config': additional properties 'listen' not allowed`,
		`config: {jwt-secret-file: /etc/passwd}`: `at '/config': additional properties 'jwt-secret-file' not allowed`,

		`secrets: {natsCreds: {value: "-----BEGIN NATS USER JWT-----"}}`: `at '/secrets/natsCreds': additional properties 'value' not allowed`,
		`secrets: {ticketKey: {existingSecret: "Not A Name"}}`:           `at '/secrets/ticketKey/existingSecret': 'Not A Name' does not match pattern`,
		`podDisruptionBudget: {maxUnavailable: 0}`:                       `at '/podDisruptionBudget/maxUnavailable': minimum: got 0, want 1`,
		`podDisruptionBudget: {maxUnavailable: 0%}`:                      `at '/podDisruptionBudget/maxUnavailable': '0%' does not match pattern`,
		`podDisruptionBudget: {minAvailable: 1}`:                         `additional properties 'minAvailable' not allowed`,
		`drain: {timeSeconds: -1}`:                                       `at '/drain/timeSeconds': minimum: got -1, want 0`,
		`image: {digest: "sha256:12"}`:                                   `at '/image/digest': 'sha256:12' does not match pattern`,
		`resources: {limits: {memory: lots}}`:                            `at '/resources/limits/memory': 'lots' does not match pattern`,

		`mode: external`: `mode external needs config.nats-url, or nats.enabled`,
		`{mode: external, config: {nats-url: "nats://me:pass@nats:4222"}}`:                                               `config.nats-url has a user, password or token in it`,
		`{mode: external, config: {nats-url: ["nats://a", "nats://token@b"]}}`:                                           `config.nats-url has a user, password or token in it`,
		`{mode: external, config: {nats-url: "nats://nats"}, nats: {enabled: true}}`:                                     `config.nats-url and nats.enabled are both set`,
		`config: {nats-url: "nats://nats"}`:                                                                              `mode embedded has its NATS inside`,
		`secrets: {natsCreds: {existingSecret: a}}`:                                                                      `secrets.natsCreds and secrets.natsTLS are for mode external`,
		`autoscaling: {enabled: true}`:                                                                                   `autoscaling is for mode external`,
		`{mode: external, config: {nats-url: "nats://nats"}, autoscaling: {enabled: true, maxReplicas: 1}}`:              `autoscaling.maxReplicas is below minReplicas`,
		`{mode: external, config: {nats-url: "nats://nats"}, autoscaling: {enabled: true, cpu: 0, streams: 0}}`:          `autoscaling has nothing to go by`,
		`{mode: external, config: {nats-url: "nats://nats"}, autoscaling: {enabled: true}, resources: {requests: null}}`: `autoscaling.cpu is a percentage of resources.requests.cpu`,
		`{mode: external, config: {nats-url: "nats://nats"}, secrets: {natsTLS: {existingSecret: a, certKey: tls.crt}}}`: `secrets.natsTLS.certKey and keyKey: only one of them is set`,
		`secrets: {jwtSecret: {existingSecret: a}, jwtPublicKey: {existingSecret: b}}`:                                   `secrets.jwtSecret and secrets.jwtPublicKey: only one of them can be set`,
		`{secrets: {jwtSecret: {existingSecret: a}}, config: {jwks-url: "https://a.example"}}`:                           `secrets.jwtSecret and config.jwks-url: only one of them can be set`,
		`httpRoute: {enabled: true}`:                                                                                     `httpRoute.parentRefs is empty`,
		`ingress: {enabled: true}`:                                                                                       `ingress.hosts is empty`,
		`extraEnv: [{name: RINGCAST_NATS_URL, value: "nats://a"}]`:                                                       `extraEnv has RINGCAST_NATS_URL: settings go into config`,
	} {
		_, err := render(t, values)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n got: %v\nwant: %s", values, err, want)
			continue
		}
		if strings.Contains(err.Error(), "pass@") || strings.Contains(err.Error(), "token@") {
			t.Errorf("the error repeats a secret: %v", err)
		}
	}
}

// helm lint has nothing to say, but that the chart of NATS is not there, and that there is
// no icon.
func TestChart_Lint(t *testing.T) {
	const missing = "chart directory is missing these dependencies: nats"
	for _, m := range lint.RunAll(chartDir, nil, namespace).Messages {
		if text := m.Error(); !strings.Contains(text, "icon is recommended") && !strings.Contains(text, missing) {
			t.Error(text)
		}
	}
	dir := filepath.Join(t.TempDir(), "ringcast")
	if err := os.CopyFS(dir, os.DirFS(chartDir)); err != nil {
		t.Fatal(err)
	}
	// As `helm dependency update` would have put it there.
	if err := os.MkdirAll(filepath.Join(dir, "charts/nats"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "charts/nats/Chart.yaml"), []byte("apiVersion: v2\nname: nats\nversion: 1.3.0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, values := range matrix {
		given := map[string]any{}
		if err := yaml.Unmarshal([]byte(values), &given); err != nil {
			t.Fatal(err)
		}
		for _, m := range lint.RunAll(dir, given, namespace).Messages {
			if m.Severity > support.InfoSev {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}

// chartSettings are those that the chart makes, and nobody sets.
var chartSettings = []string{
	"listen", "admin-listen", "data-dir", "nats-listen", "instance", "drain-time", "shutdown-timeout",
	"tls-cert", "tls-key", "nats-creds", "nats-tls-ca", "nats-tls-cert", "nats-tls-key",
	"jwt-secret-file", "jwt-public-key-file", "ticket-key-file",
}

// Every other setting of the program can be set, and no other.
func TestChart_Settings(t *testing.T) {
	out, err := exec.Command(ringcast, "config", "--reference").Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, m := range regexp.MustCompile("(?m)^\\| `--([a-z0-9-]+)`").FindAllStringSubmatch(string(out), -1) {
		if !slices.Contains(chartSettings, m[1]) {
			want = append(want, m[1])
		}
	}
	text, err := os.ReadFile(filepath.Join(chartDir, "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties struct {
			Config struct{ Properties map[string]any }
		}
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	have := schema.Properties.Config.Properties
	for _, name := range want {
		if have[name] == nil {
			t.Errorf("values.schema.json does not have config.%s", name)
		}
		delete(have, name)
	}
	for name := range have {
		t.Errorf("values.schema.json has config.%s, which is no setting, or one that the chart makes", name)
	}
}

var update = flag.Bool("update", false, "copy the alerts and the dashboard into the chart")

// What the chart installs is what there is without it: a chart can have no file that is
// not in its folder, so these are copies.
func TestChart_Copies(t *testing.T) {
	for file, from := range map[string]string{"alerts.yaml": "../prometheus/alerts.yaml", "ringcast.json": "../grafana/ringcast.json"} {
		want, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(chartDir, "files", file)
		if *update {
			if err := os.WriteFile(to, want, 0o644); err != nil { //nolint:gosec // as git has it
				t.Fatal(err)
			}
		}
		if have, err := os.ReadFile(to); err != nil || string(have) != string(want) {
			t.Errorf("%s is not what %s is: make reference (%v)", to, from, err)
		}
	}
	o := decode(t, matrix["everything"])
	var rules struct {
		Groups []struct{ Rules []struct{ Expr string } }
	}
	text, _ := os.ReadFile("../prometheus/alerts.yaml") // read before
	if err := yaml.Unmarshal(text, &rules); err != nil {
		t.Fatal(err)
	}
	if len(o.Rule.Spec.Groups) != 1 || len(o.Rule.Spec.Groups[0].Rules) != len(rules.Groups[0].Rules) {
		t.Fatalf("%d groups of rules", len(o.Rule.Spec.Groups))
	}
	for i, r := range o.Rule.Spec.Groups[0].Rules {
		if r.Expr.StrVal != rules.Groups[0].Rules[i].Expr || !strings.Contains(string(text), r.Annotations["summary"]) {
			t.Errorf("%s: %s: %s", r.Alert, r.Expr.StrVal, r.Annotations["summary"])
		}
	}
	if board := o.ConfigMaps[fullname+"-dashboard"]; !json.Valid([]byte(board.Data["ringcast.json"])) {
		t.Error("the dashboard is no JSON")
	}
}

// Who has installed it is told what is missing, and nothing that is not.
func TestChart_Notes(t *testing.T) {
	const nobody, tickets, open = "NOBODY MAY", "set secrets.ticketKey", "Whoever reaches port 4222"
	for name, want := range map[string][]string{
		"defaults": {nobody}, "embedded": {open}, "external": {nobody, tickets}, "everything": nil, "HMAC, an account of its own": {tickets},
	} {
		notes := decode(t, matrix[name]).notes
		for _, text := range []string{nobody, tickets, open} {
			if strings.Contains(notes, text) != slices.Contains(want, text) {
				t.Errorf("%s: %q: %s", name, text, notes)
			}
		}
	}
}
