package deploy_test

import (
	"slices"
	"testing"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Whatever the values, what is rendered fits together.
func TestChart(t *testing.T) {
	for name, values := range matrix {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := decode(t, values)
			checkNames(t, o)
			checkSelectors(t, o)
			checkPorts(t, o)
			checkPod(t, o.pod())
			checkVolumes(t, o)
			checkBudget(t, o)
			checkAutoscaler(t, o)
			checkSpread(t, o)
			checkConfig(t, o)
		})
	}
}

func checkNames(t *testing.T, o *objects) {
	t.Helper()
	if (o.Deployment == nil) == (o.StatefulSet == nil) {
		t.Fatalf("one of a Deployment and a StatefulSet is wanted: %v", o.names)
	}
	for name := range o.Services {
		if e := validation.IsDNS1035Label(name); e != nil {
			t.Errorf("service %q: %v", name, e)
		}
	}
	for key, value := range o.pod().Labels {
		if e := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)...); len(e) > 0 {
			t.Errorf("label %s: %q: %v", key, value, e)
		}
	}
}

// Everything that selects pods selects those of the release; another release in the same
// namespace is none of its business.
func checkSelectors(t *testing.T, o *objects) {
	t.Helper()
	selectors := map[string]map[string]string{}
	add := func(name string, s *meta.LabelSelector) {
		if len(s.MatchExpressions) > 0 {
			t.Errorf("%s selects by expressions, which this test does not read", name)
		}
		selectors[name] = s.MatchLabels
	}
	if o.Deployment != nil {
		add("deployment", o.Deployment.Spec.Selector)
	} else {
		add("stateful set", o.StatefulSet.Spec.Selector)
	}
	for name, s := range o.Services {
		selectors["service "+name] = s.Spec.Selector
	}
	if o.Budget != nil {
		add("disruption budget", o.Budget.Spec.Selector)
	}
	if o.NetworkPolicy != nil {
		add("network policy", &o.NetworkPolicy.Spec.PodSelector)
	}
	for _, c := range o.pod().Spec.TopologySpreadConstraints {
		add("spread over "+c.TopologyKey, c.LabelSelector)
	}
	for name, labels := range selectors {
		if labels["app.kubernetes.io/instance"] != release || labels["app.kubernetes.io/name"] == "" {
			t.Errorf("%s selects %v", name, labels)
		}
		if !within(labels, o.pod().Labels) {
			t.Errorf("%s selects %v, the pods have %v", name, labels, o.pod().Labels)
		}
	}
	if o.Monitor != nil {
		checkMonitor(t, o)
	}
}

// A monitor selects one service, which has its port, and names the job as the alerts do.
func checkMonitor(t *testing.T, o *objects) {
	t.Helper()
	var found []*core.Service
	for _, s := range o.Services {
		if within(o.Monitor.Spec.Selector.MatchLabels, s.Labels) {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("the monitor selects %d services", len(found))
	}
	e := o.Monitor.Spec.Endpoints[0]
	if !slices.ContainsFunc(found[0].Spec.Ports, func(p core.ServicePort) bool { return p.Name == e.Port }) {
		t.Errorf("the monitor reads port %q of %v", e.Port, found[0].Spec.Ports)
	}
	if !found[0].Spec.PublishNotReadyAddresses {
		t.Error("pods that are not ready are not scraped")
	}
	if r := e.RelabelConfigs; len(r) != 1 || r[0].TargetLabel != "job" || r[0].Replacement == nil || *r[0].Replacement != "ringcast" {
		t.Errorf("the monitor relabels %+v", r)
	}
}

// within reports whether all labels are among those of all.
func within(labels, all map[string]string) bool {
	for k, v := range labels {
		if all[k] != v {
			return false
		}
	}
	return len(labels) > 0
}

// Every port that is named somewhere is one of the container's.
func checkPorts(t *testing.T, o *objects) {
	t.Helper()
	ports := o.pod().Spec.Containers[0].Ports
	has := func(port intstr.IntOrString) bool {
		return slices.ContainsFunc(ports, func(p core.ContainerPort) bool {
			return p.Name == port.StrVal || p.ContainerPort == port.IntVal
		})
	}
	for name, s := range o.Services {
		for _, p := range s.Spec.Ports {
			if !has(p.TargetPort) {
				t.Errorf("service %s: port %s goes to %v", name, p.Name, p.TargetPort)
			}
		}
	}
	front := o.Services[fullname]
	if front == nil {
		front = o.Services[release+"-broker"] // with nameOverride
	}
	if len(front.Spec.Ports) != 1 || front.Spec.Ports[0].Name != "http" {
		t.Errorf("what clients are sent to has the ports %v", front.Spec.Ports)
	}
	if o.NetworkPolicy != nil {
		for _, rule := range o.NetworkPolicy.Spec.Ingress {
			if len(rule.Ports) != 1 || !has(*rule.Ports[0].Port) {
				t.Errorf("the network policy lets in %+v", rule.Ports)
			}
		}
	}
	if o.HTTPRoute != nil {
		for _, rule := range o.HTTPRoute.Spec.Rules {
			ref := rule.BackendRefs[0]
			if string(ref.Name) != front.Name || *ref.Port != front.Spec.Ports[0].Port {
				t.Errorf("the route goes to %s:%d", ref.Name, *ref.Port)
			}
			if *rule.Timeouts.Request != "0s" || *rule.Timeouts.BackendRequest != "0s" {
				t.Errorf("the route's timeouts: %s, %s", *rule.Timeouts.Request, *rule.Timeouts.BackendRequest)
			}
		}
	}
	if o.Ingress != nil {
		for _, rule := range o.Ingress.Spec.Rules {
			b := rule.HTTP.Paths[0].Backend.Service
			if b.Name != front.Name || b.Port.Name != front.Spec.Ports[0].Name {
				t.Errorf("the ingress goes to %+v", b)
			}
		}
	}
}

// With a network policy the gateways reach what their settings name, and nothing else.
func TestChart_Egress(t *testing.T) {
	for name, want := range map[string][]int32{
		"embedded":              {53},
		"external, one gateway": {53, 443, 4222, 4223},
		"NATS beside it":        {53, 4222, 8443},
		"everything":            {53, 4222, 4318},
	} {
		var have []int32
		for _, rule := range decode(t, matrix[name]).NetworkPolicy.Spec.Egress {
			for _, p := range rule.Ports {
				if !slices.Contains(have, p.Port.IntVal) {
					have = append(have, p.Port.IntVal)
				}
			}
		}
		slices.Sort(have)
		if !slices.Equal(have, want) {
			t.Errorf("%s: ports %v, want %v", name, have, want)
		}
	}
}

// A budget always lets one pod go.
func checkBudget(t *testing.T, o *objects) {
	t.Helper()
	if o.Budget == nil {
		return
	}
	s := o.Budget.Spec
	if s.MinAvailable != nil {
		t.Error("the budget has a least number of pods")
	}
	// As the disruption controller does, rounding up.
	most, err := intstr.GetScaledValueFromIntOrPercent(s.MaxUnavailable, 1, true)
	if err != nil || most < 1 {
		t.Errorf("of one pod %d may go: %v", most, err)
	}
}

// An autoscaler has its Deployment, which leaves the number of pods to it.
func checkAutoscaler(t *testing.T, o *objects) {
	t.Helper()
	if o.Autoscaler == nil {
		if o.Deployment != nil && o.Deployment.Spec.Replicas == nil {
			t.Error("nobody says how many pods there are")
		}
		return
	}
	target := o.Autoscaler.Spec.ScaleTargetRef
	if o.Deployment == nil || target.Kind != "Deployment" || target.APIVersion != "apps/v1" || target.Name != o.Deployment.Name {
		t.Fatalf("the autoscaler scales %+v", target)
	}
	if o.Deployment.Spec.Replicas != nil {
		t.Error("the deployment sets the number of pods back at every upgrade")
	}
	if len(o.Autoscaler.Spec.Metrics) == 0 {
		t.Error("the autoscaler goes by nothing")
	}
	for _, m := range o.Autoscaler.Spec.Metrics {
		if m.Pods != nil && (m.Pods.Metric.Name != "ringcast_streams_open" || m.Pods.Target.AverageValue.Value() != 8000) {
			t.Errorf("the autoscaler goes by %+v", m.Pods)
		}
	}
}

// Pods of a version are spread by themselves, where there is more than one pod.
func checkSpread(t *testing.T, o *objects) {
	t.Helper()
	for _, c := range o.pod().Spec.TopologySpreadConstraints {
		if o.StatefulSet != nil {
			t.Error("one pod is spread")
		}
		if !slices.Equal(c.MatchLabelKeys, []string{"pod-template-hash"}) {
			t.Errorf("spread by %v", c.MatchLabelKeys)
		}
	}
}
