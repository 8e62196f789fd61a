package deploy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// readCompose reads the file as Compose does: by its schema, with everything filled in.
func readCompose(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"../compose.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// What Compose is told of a gateway is what the chart tells Kubernetes.
func TestCompose(t *testing.T) {
	project := readCompose(t)
	for _, kind := range []string{"nats", "gateway"} {
		for _, n := range []string{"1", "2", "3"} {
			if _, err := project.GetService(kind + "-" + n); err != nil {
				t.Error(err)
			}
		}
	}
	for name, s := range project.Services {
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s is open on %q", name, p.HostIP)
			}
		}
		if !strings.HasPrefix(name, "gateway-") {
			continue
		}
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s may do too much", name)
		}
		needed := duration(t, flagOf(s.Command, "drain-time")) + duration(t, flagOf(s.Command, "shutdown-timeout")) + 10*time.Second
		if have := time.Duration(*s.StopGracePeriod); have < needed {
			t.Errorf("%s has %s to stop and needs %s", name, have, needed)
		}
		for _, url := range strings.Split(flagOf(s.Command, "nats-url"), ",") {
			host, _, _ := strings.Cut(strings.TrimPrefix(url, "nats://"), ":")
			if s.DependsOn[host].Condition != types.ServiceConditionHealthy {
				t.Errorf("%s does not wait for %s", name, host)
			}
		}
	}
}

// flagOf returns the value of a flag in a command.
func flagOf(command []string, name string) string {
	for _, word := range command {
		if value, ok := strings.CutPrefix(word, "--"+name+"="); ok {
			return value
		}
	}
	return ""
}
