package node

import (
	"encoding/json"
	"errors"
	"reflect"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"confidential.summarizer.dev/sandbox/programs/virtualnode/internal/arm"
)

const identity = "/subscriptions/s/resourceGroups/r/providers/Microsoft.ManagedIdentity/userAssignedIdentities/u"

var settings = Settings{Node: "virtualnode-0", Location: "westeurope", SubnetID: "/subnet/default"}

// aPod is a pod that the node can run, changed by the given functions.
func aPod(changes ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "legal", Name: "contracts-0", UID: "uid-1",
			Annotations: map[string]string{annotationPolicy: "cG9saWN5"},
		},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyAlways,
			Containers:    []corev1.Container{{Name: "app", Image: "party1.azurecr.io/app@sha256:00"}},
		},
	}
	for _, change := range changes {
		change(pod)
	}
	return pod
}

func annotated(name, value string) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Annotations[name] = value }
}

func app(change func(*corev1.Container)) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { change(&pod.Spec.Containers[0]) }
}

func translated(t *testing.T, pod *corev1.Pod, inputs Inputs) *arm.Group {
	t.Helper()
	group, err := Translate(pod, settings, inputs)
	if err != nil {
		t.Fatal(err)
	}
	return group
}

func TestGroupNamesFitTheServiceAndNeverCollide(t *testing.T) {
	valid := regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	pods := []*corev1.Pod{
		{ObjectMeta: metav1.ObjectMeta{Namespace: "a-b", Name: "c", UID: "1"}},
		{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "b-c", UID: "2"}},
		{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "b-c", UID: "3"}},
		{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "with.dots", UID: "4"}},
		{ObjectMeta: metav1.ObjectMeta{Namespace: strings.Repeat("n", 63), Name: strings.Repeat("p", 200), UID: "5"}},
		{ObjectMeta: metav1.ObjectMeta{Namespace: strings.Repeat("n", 51), Name: "cut-at-a-dash", UID: "6"}},
	}
	seen := map[string]bool{}
	for _, pod := range pods {
		name := GroupName(pod)
		if !valid.MatchString(name) || seen[name] {
			t.Errorf("%s/%s: %q", pod.Namespace, pod.Name, name)
		}
		if GroupName(pod) != name {
			t.Errorf("%q is not the same at the second call", name)
		}
		seen[name] = true
	}
}

func TestAGroupSaysWhoseItIs(t *testing.T) {
	group := translated(t, aPod(annotated(annotationCustomTags, "team=law; UID=forged ;broken")), Inputs{})
	want := map[string]string{
		tagNamespace: "legal", tagPodName: "contracts-0", tagUID: "uid-1", tagNode: "virtualnode-0", "team": "law",
	}
	if !reflect.DeepEqual(group.Tags, want) {
		t.Errorf("tags %v", group.Tags)
	}
	if uid, ours := podOf(group, "virtualnode-0"); !ours || uid != types.UID("uid-1") {
		t.Errorf("not known again: %v %v", uid, ours)
	}
	if _, ours := podOf(group, "virtualnode-1"); ours {
		t.Error("taken for another node's")
	}
}

func TestAnnotationsReachTheGroup(t *testing.T) {
	group := translated(t, aPod(
		annotated(annotationIdentity, identity), annotated(annotationSubnet, "/subnet/own"), annotated(annotationZones, "2"),
	), Inputs{})
	if group.Properties.SKU != "Confidential" || group.Properties.ConfidentialComputeProps.CCEPolicy != "cG9saWN5" {
		t.Errorf("%+v", group.Properties)
	}
	if _, found := group.Identity.UserAssignedIdentities[identity]; !found || group.Identity.Type != "UserAssigned" {
		t.Errorf("identity %+v", group.Identity)
	}
	if group.Properties.SubnetIDs[0].ID != "/subnet/own" || !reflect.DeepEqual(group.Zones, []string{"2"}) {
		t.Errorf("subnet %v, zones %v", group.Properties.SubnetIDs, group.Zones)
	}
}

func TestPodsThatCannotRunAreRefusedWithAReason(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	cases := map[string]struct {
		pod  *corev1.Pod
		says string
	}{
		"no policy": {aPod(annotated(annotationPolicy, "")), annotationPolicy},
		"host path": {aPod(func(pod *corev1.Pod) {
			pod.Spec.Volumes = []corev1.Volume{{Name: "etc", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/etc"}}}}
		}), "volume etc"},
		"native sidecar": {aPod(func(pod *corev1.Pod) {
			pod.Spec.InitContainers = []corev1.Container{{Name: "side", RestartPolicy: &always}}
		}), "side"},
	}
	for name, test := range cases {
		_, err := Translate(test.pod, settings, Inputs{})
		var never unsupported
		if !errors.As(err, &never) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCommandAndArgumentsKeepTheirMeaning(t *testing.T) {
	cases := []struct{ command, args, wantCommand, wantArgs []string }{
		{nil, nil, nil, nil},
		{[]string{"/app"}, nil, []string{"/app"}, nil},
		{[]string{"/app"}, []string{"-v"}, []string{"/app", "-v"}, nil},
		{nil, []string{"-v"}, nil, []string{"-v"}},
	}
	for _, test := range cases {
		group := translated(t, aPod(app(func(c *corev1.Container) { c.Command, c.Args = test.command, test.args })), Inputs{})
		got := group.Properties.Containers[0].Properties
		if !reflect.DeepEqual(got.Command, test.wantCommand) || !reflect.DeepEqual(got.Args, test.wantArgs) {
			t.Errorf("%v + %v: command %v, args %v", test.command, test.args, got.Command, got.Args)
		}
	}
}

func TestVariablesAreInOrderAndSecretsAreSecure(t *testing.T) {
	pod := aPod(app(func(c *corev1.Container) {
		c.Env = []corev1.EnvVar{{Name: "Z", Value: "1"}, {Name: "TOKEN", Value: "hush"}, {Name: "EMPTY"}}
	}))
	group := translated(t, pod, Inputs{SecretVariables: map[string]map[string]bool{"app": {"TOKEN": true}}})
	text, _ := json.Marshal(group.Properties.Containers[0].Properties.EnvironmentVariables)
	want := `[{"name":"EMPTY","value":""},{"name":"TOKEN","secureValue":"hush"},{"name":"Z","value":"1"}]`
	if string(text) != want {
		t.Errorf("%s", text)
	}
}

func TestMountsKeepPropagationAndLoseTheAPIToken(t *testing.T) {
	both := corev1.MountPropagationBidirectional
	pod := aPod(func(pod *corev1.Pod) {
		pod.Spec.Volumes = []corev1.Volume{
			{Name: "remotemounts", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			{Name: "kube-api-access-x", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{}}},
		}
		pod.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{
			{Name: "remotemounts", MountPath: "/mnt/remote", MountPropagation: &both},
			{Name: "kube-api-access-x", MountPath: "/var/run/secrets/kubernetes.io/serviceaccount", ReadOnly: true},
		}
	})
	group := translated(t, pod, Inputs{})
	wantMounts := []arm.VolumeMount{{Name: "remotemounts", MountPath: "/mnt/remote", MountPropagation: "Bidirectional"}}
	if got := group.Properties.Containers[0].Properties.VolumeMounts; !reflect.DeepEqual(got, wantMounts) {
		t.Errorf("mounts %+v", got)
	}
	if len(group.Properties.Volumes) != 1 || group.Properties.Volumes[0].EmptyDir == nil {
		t.Errorf("volumes %+v", group.Properties.Volumes)
	}
}

func TestSizesAreInCoresAndGibibytes(t *testing.T) {
	list := func(cpu, memory string) corev1.ResourceList {
		return corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory),
		}
	}
	cases := []struct {
		given corev1.ResourceRequirements
		want  string
	}{
		{corev1.ResourceRequirements{}, `{"requests":{"cpu":1,"memoryInGB":1}}`},
		{corev1.ResourceRequirements{Requests: list("500m", "16Gi")}, `{"requests":{"cpu":0.5,"memoryInGB":16}}`},
		{corev1.ResourceRequirements{Limits: list("4", "1500Mi")},
			`{"requests":{"cpu":4,"memoryInGB":1.5},"limits":{"cpu":4,"memoryInGB":1.5}}`},
		{corev1.ResourceRequirements{Requests: list("1", "1"), Limits: list("2", "2Gi")},
			`{"requests":{"cpu":1,"memoryInGB":0.1},"limits":{"cpu":2,"memoryInGB":2}}`},
	}
	for _, test := range cases {
		group := translated(t, aPod(app(func(c *corev1.Container) { c.Resources = test.given })), Inputs{})
		if text, _ := json.Marshal(group.Properties.Containers[0].Properties.Resources); string(text) != test.want {
			t.Errorf("%s, not %s", text, test.want)
		}
	}
}

func TestPortsAndProbesAreResolved(t *testing.T) {
	pod := aPod(app(func(c *corev1.Container) {
		c.Ports = []corev1.ContainerPort{{Name: "web", ContainerPort: 8501}}
		c.ReadinessProbe = &corev1.Probe{PeriodSeconds: 2, ProbeHandler: corev1.ProbeHandler{
			HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromString("web"), Scheme: corev1.URISchemeHTTP}}}
		c.LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{
			TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(8501)}}}
	}))
	group := translated(t, pod, Inputs{})
	properties := group.Properties.Containers[0].Properties
	if want := (&arm.HTTPGet{Path: "/healthz", Port: 8501, Scheme: "http"}); !reflect.DeepEqual(properties.ReadinessProbe.HTTPGet, want) {
		t.Errorf("%+v", properties.ReadinessProbe.HTTPGet)
	}
	if properties.LivenessProbe != nil {
		t.Error("container groups have no tcp probes")
	}
	if want := []arm.Port{{Port: 8501, Protocol: "TCP"}}; !reflect.DeepEqual(group.Properties.IPAddress.Ports, want) {
		t.Errorf("%+v", group.Properties.IPAddress)
	}
}

func TestTheContainersSecurityContextLiesOverThePods(t *testing.T) {
	yes, user, group, other := true, int64(1000), int64(2000), int64(3000)
	pod := aPod(func(pod *corev1.Pod) {
		pod.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: &user, RunAsGroup: &group}
		pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{
			Privileged: &yes, RunAsUser: &other, Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"SYS_ADMIN"}},
		}
	})
	got := translated(t, pod, Inputs{}).Properties.Containers[0].Properties.SecurityContext
	text, _ := json.Marshal(got)
	if string(text) != `{"privileged":true,"runAsUser":3000,"runAsGroup":2000,"capabilities":{"add":["SYS_ADMIN"]}}` {
		t.Errorf("%s", text)
	}
	if translated(t, aPod(), Inputs{}).Properties.Containers[0].Properties.SecurityContext != nil {
		t.Error("a container without a security context got one")
	}
}

func TestInitContainersHaveNoSizeAndNoPorts(t *testing.T) {
	pod := aPod(func(pod *corev1.Pod) {
		pod.Spec.InitContainers = []corev1.Container{{Name: "first", Image: "i", Command: []string{"/init"}}}
	})
	got := translated(t, pod, Inputs{}).Properties.InitContainers[0]
	if got.Name != "first" || got.Properties.Resources != nil || got.Properties.Command[0] != "/init" {
		t.Errorf("%+v", got)
	}
}

func TestPullSecretsBecomeRegistryCredentials(t *testing.T) {
	secret := &corev1.Secret{Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(
		`{"auths":{"b.azurecr.io":{"username":"u","password":"p"},"a.azurecr.io":{"auth":"bmFtZTp3b3JkOng="}}}`)}}
	got, err := registryCredentials(secret)
	want := []arm.RegistryCredential{
		{Server: "a.azurecr.io", Username: "name", Password: "word:x"}, {Server: "b.azurecr.io", Username: "u", Password: "p"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v %v", got, err)
	}
	secret.Data[corev1.DockerConfigJsonKey] = []byte("planted-secret")
	if _, err := registryCredentials(secret); err == nil || strings.Contains(err.Error(), "planted") {
		t.Errorf("%v", err)
	}
}
