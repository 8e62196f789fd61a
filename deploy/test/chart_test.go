package deploy_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

// objects are those of one rendering, by kind.
type objects struct {
	Deployment    *apps.Deployment
	StatefulSet   *apps.StatefulSet
	ConfigMaps    map[string]*core.ConfigMap
	Services      map[string]*core.Service
	Account       *core.ServiceAccount
	Budget        *policy.PodDisruptionBudget
	Autoscaler    *autoscaling.HorizontalPodAutoscaler
	NetworkPolicy *networking.NetworkPolicy
	Ingress       *networking.Ingress
	HTTPRoute     *gateway.HTTPRoute
	Monitor       *monitoring.ServiceMonitor
	Rule          *monitoring.PrometheusRule

	names []string // kind/name
	notes string
}

const (
	release   = "events"
	namespace = "tests"
	fullname  = "events-ringcast"
)

// loadChart returns the chart with a stand-in for the chart of NATS, which is elsewhere:
// what it would render is not looked at.
func loadChart(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	c.AddDependency(&chart.Chart{Metadata: &chart.Metadata{APIVersion: "v2", Name: "nats", Version: "1.3.0"}})
	return c
}

// render returns what the chart makes of the values, a YAML text.
func render(t *testing.T, values string) (map[string]string, error) {
	t.Helper()
	given := map[string]any{}
	if err := yaml.Unmarshal([]byte(values), &given); err != nil {
		t.Fatal(err)
	}
	c := loadChart(t)
	if err := chartutil.ProcessDependencies(c, given); err != nil {
		t.Fatal(err)
	}
	all, err := util.ToRenderValues(c, given, common.ReleaseOptions{Name: release, Namespace: namespace, Revision: 1, IsInstall: true}, nil)
	if err != nil {
		return nil, err
	}
	return engine.Engine{Strict: true}.RenderWithContext(t.Context(), c, all)
}

// decode renders the chart and decodes every object strictly: a field that its type does
// not have is an error.
func decode(t *testing.T, values string) *objects {
	t.Helper()
	files, err := render(t, values)
	if err != nil {
		t.Fatal(err)
	}
	o := &objects{ConfigMaps: map[string]*core.ConfigMap{}, Services: map[string]*core.Service{}}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(name, "NOTES.txt") {
			o.notes = files[name]
			continue
		}
		for doc := range strings.SplitSeq(files[name], "\n---\n") {
			if strings.TrimSpace(doc) != "" {
				o.add(t, name, []byte(doc))
			}
		}
	}
	return o
}

func (o *objects) add(t *testing.T, file string, doc []byte) {
	t.Helper()
	var head struct {
		APIVersion, Kind string
		Metadata         struct{ Name, Namespace string }
	}
	if err := yaml.Unmarshal(doc, &head); err != nil {
		t.Fatalf("%s: %v\n%s", file, err, doc)
	}
	name := head.Kind + "/" + head.Metadata.Name
	if slices.Contains(o.names, name) {
		t.Errorf("%s is there twice", name)
	}
	o.names = append(o.names, name)
	if err := yaml.UnmarshalStrict(doc, o.place(t, head.APIVersion+" "+head.Kind, head.Metadata.Name)); err != nil {
		t.Errorf("%s: %v\n%s", name, err, doc)
	}
}

// place returns where an object of this kind is to be decoded to.
func (o *objects) place(t *testing.T, kind, name string) any {
	t.Helper()
	switch kind {
	case "v1 ConfigMap":
		o.ConfigMaps[name] = new(core.ConfigMap)
		return o.ConfigMaps[name]
	case "v1 Service":
		o.Services[name] = new(core.Service)
		return o.Services[name]
	case "v1 ServiceAccount":
		return &o.Account
	case "apps/v1 Deployment":
		return &o.Deployment
	case "apps/v1 StatefulSet":
		return &o.StatefulSet
	case "policy/v1 PodDisruptionBudget":
		return &o.Budget
	case "autoscaling/v2 HorizontalPodAutoscaler":
		return &o.Autoscaler
	case "networking.k8s.io/v1 NetworkPolicy":
		return &o.NetworkPolicy
	case "networking.k8s.io/v1 Ingress":
		return &o.Ingress
	case "gateway.networking.k8s.io/v1 HTTPRoute":
		return &o.HTTPRoute
	case "monitoring.coreos.com/v1 ServiceMonitor":
		return &o.Monitor
	case "monitoring.coreos.com/v1 PrometheusRule":
		return &o.Rule
	}
	t.Fatalf("no type for %s", kind)
	return nil
}

// pod returns the template of the pods, in either mode.
func (o *objects) pod() core.PodTemplateSpec {
	if o.Deployment != nil {
		return o.Deployment.Spec.Template
	}
	return o.StatefulSet.Spec.Template
}
