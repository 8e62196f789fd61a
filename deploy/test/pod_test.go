package deploy_test

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// checkPod holds the pod to the restricted Pod Security Standard
// (https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted), a
// read-only root file system, and no way to the API of the cluster.
func checkPod(t *testing.T, pod core.PodTemplateSpec) {
	t.Helper()
	spec := pod.Spec
	if isNot(spec.AutomountServiceAccountToken, false) || isNot(spec.EnableServiceLinks, false) {
		t.Error("the pod has a token, or variables of services")
	}
	if spec.HostNetwork || spec.HostPID || spec.HostIPC {
		t.Error("the pod is in namespaces of its node")
	}
	s := spec.SecurityContext
	if isNot(s.RunAsNonRoot, true) || *s.RunAsUser == 0 || *s.RunAsGroup == 0 || *s.FSGroup != *s.RunAsGroup ||
		s.SeccompProfile.Type != core.SeccompProfileTypeRuntimeDefault {
		t.Errorf("the pod's security context: %+v", s)
	}
	containers := slices.Concat(spec.InitContainers, spec.Containers)
	if len(containers) != 1 || len(spec.EphemeralContainers) > 0 {
		t.Fatalf("%d containers", len(containers))
	}
	c := containers[0]
	if s := c.SecurityContext; isNot(s.AllowPrivilegeEscalation, false) || isNot(s.ReadOnlyRootFilesystem, true) ||
		!slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) || s.Capabilities.Add != nil || s.Privileged != nil {
		t.Errorf("the container's security context: %+v", s)
	}
	checkProbes(t, c)
	checkMemory(t, c)
	if pod.Annotations["checksum/config"] == "" {
		t.Error("another configuration would not make other pods")
	}
	for _, e := range c.Env {
		if strings.HasPrefix(e.Name, "RINGCAST_") && e.ValueFrom == nil {
			t.Errorf("the setting %s is in the environment", e.Name)
		}
	}
}

func isNot(have *bool, want bool) bool { return have == nil || *have != want }

// Only readiness looks at NATS.
func checkProbes(t *testing.T, c core.Container) {
	t.Helper()
	for name, p := range map[string]struct {
		probe *core.Probe
		path  string
	}{
		"startup": {c.StartupProbe, "/healthz"}, "readiness": {c.ReadinessProbe, "/readyz"}, "liveness": {c.LivenessProbe, "/healthz"},
	} {
		get := p.probe.HTTPGet
		if get.Path != p.path || !slices.ContainsFunc(c.Ports, func(port core.ContainerPort) bool { return port.Name == get.Port.StrVal }) {
			t.Errorf("%s: %+v", name, get)
		}
	}
	if s := c.StartupProbe; s.PeriodSeconds*s.FailureThreshold < 60 {
		t.Errorf("the process has %d s to start", s.PeriodSeconds*s.FailureThreshold)
	}
}

// GOMEMLIMIT leaves a tenth of the memory or more to what is no Go heap, and is there
// whenever there is a limit: the alert on memory goes by it.
func checkMemory(t *testing.T, c core.Container) {
	t.Helper()
	limit := c.Resources.Limits.Memory().Value()
	for _, e := range c.Env {
		if e.Name != "GOMEMLIMIT" {
			continue
		}
		mib, err := strconv.ParseInt(strings.TrimSuffix(e.Value, "MiB"), 10, 64)
		if share := float64(mib<<20) / float64(limit); err != nil || share < 0.75 || share > 0.9 {
			t.Errorf("GOMEMLIMIT=%s of %d bytes: %v", e.Value, limit, err)
		}
		return
	}
	if limit != 0 {
		t.Error("no GOMEMLIMIT")
	}
}

// Every volume is mounted, every mount has its volume, secrets are read only, and an
// emptyDir has room for what the ring may come to: beyond its limit the pod is evicted.
func checkVolumes(t *testing.T, o *objects) {
	t.Helper()
	mounts := map[string]core.VolumeMount{}
	for _, m := range o.pod().Spec.Containers[0].VolumeMounts {
		mounts[m.Name] = m
		if m.SubPath != "" {
			t.Errorf("%s is mounted by a part of it, which is never exchanged", m.Name)
		}
	}
	volumes := map[string]core.Volume{}
	for _, v := range o.pod().Spec.Volumes {
		volumes[v.Name] = v
		if (v.Secret != nil || v.ConfigMap != nil) && !mounts[v.Name].ReadOnly {
			t.Errorf("%s can be written", v.Name)
		}
	}
	if o.StatefulSet != nil {
		for _, claim := range o.StatefulSet.Spec.VolumeClaimTemplates {
			volumes[claim.Name] = core.Volume{}
		}
		if o.Services[o.StatefulSet.Spec.ServiceName] == nil {
			t.Errorf("the stateful set's service is %s", o.StatefulSet.Spec.ServiceName)
		}
	}
	for name := range volumes {
		if mounts[name].MountPath == "" {
			t.Errorf("%s is not mounted", name)
		}
	}
	if len(mounts) != len(volumes) {
		t.Errorf("%d mounts of %d volumes", len(mounts), len(volumes))
	}
}

// The program takes the configuration that was rendered, with the files of secrets where
// the pod has them, and the pod's time to end is enough for it.
func checkConfig(t *testing.T, o *objects) {
	t.Helper()
	pod := o.pod().Spec
	c := pod.Containers[0]
	settings := readConfig(t, o)
	for name, want := range map[string]string{"listen": "http", "admin-listen": "metrics"} {
		i := slices.IndexFunc(c.Ports, func(p core.ContainerPort) bool { return p.Name == want })
		if settings[name] != "0.0.0.0:"+strconv.Itoa(int(c.Ports[i].ContainerPort)) {
			t.Errorf("%s is %v, the port %v", name, settings[name], c.Ports[i])
		}
	}
	if (settings["tls-cert"] != "") != (c.ReadinessProbe.HTTPGet.Scheme == core.URISchemeHTTPS) {
		t.Errorf("tls-cert is %v, probes speak %s", settings["tls-cert"], c.ReadinessProbe.HTTPGet.Scheme)
	}
	if (settings["nats-url"] == "") != (o.StatefulSet != nil) {
		t.Errorf("nats-url is %q", settings["nats-url"])
	}
	if o.StatefulSet != nil && (settings["nats-listen"] == "0.0.0.0:4222") != (len(c.Ports) == 3) {
		t.Errorf("nats-listen is %v, the ports %v", settings["nats-listen"], c.Ports)
	}
	var sleep int64
	if c.Lifecycle != nil {
		sleep = c.Lifecycle.PreStop.Sleep.Seconds
	}
	needed := time.Duration(sleep)*time.Second + duration(t, settings["drain-time"]) + duration(t, settings["shutdown-timeout"]) + 10*time.Second
	if grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second; grace < needed || grace > needed+time.Minute {
		t.Errorf("the pod has %s to end and needs %s", grace, needed)
	}
	for _, v := range pod.Volumes {
		if v.EmptyDir != nil {
			if most := 8*bytes(t, settings["ring-max-bytes"]) + 1<<20; v.EmptyDir.SizeLimit.Value() < most {
				t.Errorf("the ring has %s, and may come to %d bytes", v.EmptyDir.SizeLimit, most)
			}
		}
	}
}

// readConfig has the program itself read the configuration, and returns what it makes of
// it. The files of the mounts lie in a folder, which takes the place of /.
func readConfig(t *testing.T, o *objects) map[string]string {
	t.Helper()
	dir := t.TempDir()
	pod := o.pod().Spec
	c := pod.Containers[0]
	for _, m := range c.VolumeMounts {
		for _, v := range pod.Volumes {
			if v.Name == m.Name {
				mountFiles(t, o, v, filepath.Join(dir, m.MountPath))
			}
		}
	}
	if c.Command != nil || len(c.Args) != 2 || c.Args[0] != "serve" {
		t.Fatalf("the container runs %v %v", c.Command, c.Args)
	}
	file, _ := strings.CutPrefix(c.Args[1], "--config=")
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	inside := strings.ReplaceAll(string(text), path.Dir(path.Dir(file))+"/", filepath.Join(dir, path.Dir(path.Dir(file)))+"/")
	if err := os.WriteFile(filepath.Join(dir, file), []byte(inside), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(ringcast, "config", "--config="+filepath.Join(dir, file))
	cmd.Env = []string{"RINGCAST_INSTANCE=" + fullname + "-0"} // what the field comes to
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s\n%s", err, out, text)
	}
	settings := map[string]any{}
	if err := yaml.Unmarshal(out, &settings); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	texts := map[string]string{}
	for name, value := range settings {
		texts[name], _ = value.(string) // the others are not looked at
	}
	return texts
}

// mountFiles writes what a volume has: keys of a config map, or stand-ins for those of a
// secret, long enough for any key.
func mountFiles(t *testing.T, o *objects, v core.Volume, dir string) {
	t.Helper()
	files := map[string]string{}
	if v.ConfigMap != nil {
		files = o.ConfigMaps[v.ConfigMap.Name].Data
	}
	if v.Secret != nil {
		if *v.Secret.DefaultMode != 0o440 {
			t.Errorf("secret %s has mode %o", v.Secret.SecretName, *v.Secret.DefaultMode)
		}
		for _, item := range v.Secret.Items {
			files[item.Path] = strings.Repeat("k", 64)
		}
	}
	for name, text := range files {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// bytes reads a size as the program writes it.
func bytes(t *testing.T, text string) int64 {
	t.Helper()
	for unit, factor := range map[string]int64{"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10, "": 1} {
		if n, err := strconv.ParseInt(strings.TrimSuffix(text, unit), 10, 64); err == nil && strings.HasSuffix(text, unit) {
			return n * factor
		}
	}
	t.Fatalf("%q is not a size", text)
	return 0
}
