package node

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/virtual-kubelet/virtual-kubelet/errdefs"
	"github.com/virtual-kubelet/virtual-kubelet/node/api"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/record"

	"confidential.summarizer.dev/sandbox/programs/virtualnode/internal/arm"
)

// service is Azure Resource Manager in memory.
type service struct {
	mutex  sync.Mutex
	groups map[string]*arm.Group
	puts   int
	refuse error
	log    string
}

var notFound = &arm.Error{Status: http.StatusNotFound, Code: "ResourceNotFound"}

func (s *service) Get(_ context.Context, name string) (*arm.Group, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if group, found := s.groups[name]; found {
		copied := *group
		return &copied, nil
	}
	return nil, notFound
}

func (s *service) Put(_ context.Context, name string, group *arm.Group) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.puts++
	if s.refuse != nil {
		return s.refuse
	}
	group.Name = name
	group.Properties.IPAddress.IP = "127.77.1.2"
	group.Properties.Containers[0].Properties.InstanceView = view("Running", 0, "", started())
	s.groups[name] = group
	return nil
}

func (s *service) Delete(_ context.Context, name string) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.groups, name)
	return nil
}

func (s *service) List(context.Context) ([]arm.Group, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var groups []arm.Group
	for _, group := range s.groups {
		groups = append(groups, *group)
	}
	return groups, nil
}

func (s *service) Logs(context.Context, string, string, int, bool) (string, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.log, nil
}

func (s *service) count() int {
	groups, _ := s.List(context.Background())
	return len(groups)
}

// world is a provider between a service and a Kubernetes in memory.
type world struct {
	*Provider
	service  *service
	client   *fake.Clientset
	statuses chan corev1.PodStatus
	events   *record.FakeRecorder
}

func newWorld(t *testing.T, azure *service, pods ...*corev1.Pod) *world {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	w := &world{service: azure, client: fake.NewClientset(), statuses: make(chan corev1.PodStatus, 1000), events: record.NewFakeRecorder(1000)}
	for _, pod := range pods {
		if _, err := w.client.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	factory := informers.NewSharedInformerFactory(w.client, 0)
	podLister, secretLister := factory.Core().V1().Pods().Lister(), factory.Core().V1().Secrets().Lister()
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	w.Provider = NewProvider(ctx, azure, settings, w.client, podLister, secretLister, w.events)
	w.pace = pace{10 * time.Millisecond, 20 * time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond}
	w.NotifyPods(ctx, func(pod *corev1.Pod) { w.statuses <- pod.Status })
	return w
}

// reach waits for a status that satisfies the condition.
func (w *world) reach(t *testing.T, what string, satisfied func(corev1.PodStatus) bool) corev1.PodStatus {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case status := <-w.statuses:
			if satisfied(status) {
				return status
			}
		case <-deadline:
			t.Fatalf("never reached: %s", what)
		}
	}
}

func eventually(t *testing.T, what string, satisfied func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !satisfied(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
	}
}

func isReady(status corev1.PodStatus) bool {
	return conditionOf(status, corev1.PodReady).Status == corev1.ConditionTrue
}

func newService() *service { return &service{groups: map[string]*arm.Group{}} }

func TestAPodBecomesAGroupAndReady(t *testing.T) {
	w := newWorld(t, newService(), aPod())
	_ = w.CreatePod(context.Background(), aPod())
	w.reach(t, "ready", isReady)
	if w.service.puts != 1 {
		t.Errorf("%d groups were asked for", w.service.puts)
	}
}

func TestARestartedNodeTakesItsGroupsOver(t *testing.T) {
	azure := newService()
	before := newWorld(t, azure, aPod())
	_ = before.CreatePod(context.Background(), aPod())
	before.reach(t, "ready", isReady)

	after := newWorld(t, azure, aPod())
	_ = after.CreatePod(context.Background(), aPod())
	after.reach(t, "ready again", isReady)
	if azure.puts != 1 || azure.count() != 1 {
		t.Errorf("%d groups were asked for, there are %d", azure.puts, azure.count())
	}
}

func TestAPodWithoutAPolicyWaitsAndSaysSoOnce(t *testing.T) {
	w := newWorld(t, newService())
	pod := aPod(annotated(annotationPolicy, ""))
	_ = w.CreatePod(context.Background(), pod)
	status := w.reach(t, "a reason", func(status corev1.PodStatus) bool {
		return strings.Contains(status.ContainerStatuses[0].State.Waiting.Message, annotationPolicy)
	})
	event := <-w.events.Events
	if status.Phase != corev1.PodPending || !strings.HasPrefix(event, "Warning FailedCreatePodSandBox") || w.service.puts != 0 {
		t.Errorf("%s, %q, %d puts", status.Phase, event, w.service.puts)
	}
	_ = w.UpdatePod(context.Background(), aPod())
	w.reach(t, "ready once it has a policy", isReady)
}

func TestARefusedGroupIsAskedForAgain(t *testing.T) {
	azure := newService()
	azure.refuse = &arm.Error{Status: http.StatusConflict, Code: "ServiceUnavailable", Message: "no room"}
	w := newWorld(t, azure)
	_ = w.CreatePod(context.Background(), aPod())
	w.reach(t, "the refusal", func(status corev1.PodStatus) bool {
		return strings.Contains(status.ContainerStatuses[0].State.Waiting.Message, "no room")
	})
	azure.mutex.Lock()
	azure.refuse = nil
	azure.mutex.Unlock()
	w.reach(t, "ready", isReady)
	if len(w.events.Events) != 2 { // the refusal once, and Started
		t.Errorf("%d events", len(w.events.Events))
	}
}

func TestADeletedPodGoesAfterItsGroup(t *testing.T) {
	going := aPod(func(pod *corev1.Pod) {
		pod.DeletionTimestamp, pod.Finalizers = &metav1.Time{Time: now}, []string{"keeps/it-in-the-fake"}
	})
	w := newWorld(t, newService(), going)
	_ = w.CreatePod(context.Background(), going)
	w.reach(t, "ready", isReady)
	_ = w.DeletePod(context.Background(), going)
	eventually(t, "the pod is deleted", func() bool {
		for _, action := range w.client.Actions() {
			if action.Matches("delete", "pods") {
				return true
			}
		}
		return false
	})
	if w.service.count() != 0 {
		t.Error("the pod went before its group")
	}
	eventually(t, "the node forgets it", func() bool {
		_, err := w.GetPod(context.Background(), going.Namespace, going.Name)
		return errdefs.IsNotFound(err)
	})
}

func TestAGroupThatVanishesIsMadeAgain(t *testing.T) {
	w := newWorld(t, newService(), aPod())
	_ = w.CreatePod(context.Background(), aPod())
	w.reach(t, "ready", isReady)
	_ = w.service.Delete(context.Background(), GroupName(aPod()))
	eventually(t, "a second group", func() bool { return w.service.count() == 1 && w.service.puts == 2 })
}

func TestAGroupThatVanishesEndsAPodThatIsNotRestarted(t *testing.T) {
	pod := aPod(func(pod *corev1.Pod) { pod.Spec.RestartPolicy = corev1.RestartPolicyNever })
	w := newWorld(t, newService())
	_ = w.CreatePod(context.Background(), pod)
	w.reach(t, "ready", isReady)
	_ = w.service.Delete(context.Background(), GroupName(pod))
	w.reach(t, "failed", func(status corev1.PodStatus) bool { return status.Phase == corev1.PodFailed })
	if w.service.puts != 1 {
		t.Errorf("%d groups were asked for", w.service.puts)
	}
}

func TestGroupsOfPodsThatAreGoneAreSweptAway(t *testing.T) {
	azure := newService()
	group := func(name, uid, node string) {
		azure.groups[name] = &arm.Group{Name: name, Tags: map[string]string{
			tagNamespace: "legal", tagPodName: "contracts-0", tagUID: uid, tagNode: node,
		}}
	}
	gone := aPod(func(pod *corev1.Pod) { pod.UID = "uid-0" })
	group(GroupName(gone), "uid-0", settings.Node)        // an earlier pod of the same name
	group(GroupName(aPod()), "uid-1", settings.Node)      // the pod that is there
	group("another-nodes", "uid-2", "virtualnode-1")      // not ours
	azure.groups["by-hand"] = &arm.Group{Name: "by-hand"} // nobody's
	w := newWorld(t, azure, aPod())
	w.sweepOnce()
	eventually(t, "one group less", func() bool { return azure.count() == 3 })
	if _, found := azure.groups[GroupName(gone)]; found {
		t.Error("the wrong group went")
	}
}

func TestAPodIsNotMistakenForItsNamesake(t *testing.T) {
	old, fresh := aPod(), aPod(func(pod *corev1.Pod) { pod.UID = "uid-2" })
	w := newWorld(t, newService(), fresh)
	_ = w.CreatePod(context.Background(), old)
	w.reach(t, "ready", isReady)
	if _, err := w.GetPod(context.Background(), old.Namespace, old.Name); !errdefs.IsNotFound(err) {
		t.Errorf("the old pod was found: %v", err)
	}
	eventually(t, "the old group goes", func() bool { return w.service.count() == 0 })
	if pod, err := w.client.CoreV1().Pods("legal").Get(context.Background(), fresh.Name, metav1.GetOptions{}); apierrors.IsNotFound(err) || pod.UID != "uid-2" {
		t.Errorf("the new pod is gone: %v", err)
	}
}

func TestLogsAreThePodsOwn(t *testing.T) {
	w := newWorld(t, newService(), aPod())
	w.service.log = "one\ntwo\nthree\n"
	read := func(container string, options api.ContainerLogOpts) string {
		stream, err := w.GetContainerLogs(context.Background(), "legal", "contracts-0", container, options)
		if err != nil {
			return "error: " + err.Error()
		}
		defer stream.Close()
		text, _ := io.ReadAll(stream)
		return string(text)
	}
	if got := read("app", api.ContainerLogOpts{Tail: 2}); got != "two\nthree\n" {
		t.Errorf("%q", got)
	}
	if got := read("app", api.ContainerLogOpts{LimitBytes: 5}); got != "one\nt" {
		t.Errorf("%q", got)
	}
	if got := read("other", api.ContainerLogOpts{}); !strings.Contains(got, "no container other") {
		t.Errorf("%q", got)
	}
	if got := read("app", api.ContainerLogOpts{Previous: true}); !strings.Contains(got, "earlier life") {
		t.Errorf("%q", got)
	}
}

func TestAFollowedLogEndsWithTheContainer(t *testing.T) {
	w := newWorld(t, newService(), aPod())
	name := GroupName(aPod())
	w.service.groups[name] = groupWith(view("Running", 0, ""))
	w.service.log = "one\ntwo\n"
	stream, err := w.GetContainerLogs(context.Background(), "legal", "contracts-0", "app", api.ContainerLogOpts{Follow: true, Tail: 1})
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 4)
	if _, err := io.ReadFull(stream, first); err != nil || string(first) != "two\n" {
		t.Fatalf("%q %v", first, err)
	}
	w.service.mutex.Lock()
	w.service.log += "three\n"
	w.service.groups[name] = groupWith(view("Terminated", 0, "Completed"))
	w.service.mutex.Unlock()
	if rest, err := io.ReadAll(stream); err != nil || string(rest) != "three\n" {
		t.Errorf("%q %v", rest, err)
	}
}

func TestWhatWasAddedToALogIsFoundAfterItsBeginningWent(t *testing.T) {
	cases := []struct{ content, next, want string }{
		{"", "a\n", "a\n"},
		{"a\n", "a\nb\n", "b\n"},
		{"a\nb\n", "b\nc\n", "c\n"},
		{"a\nb\n", "x\ny\n", "x\ny\n"},
		{"a\n", "a\n", ""},
	}
	for _, test := range cases {
		if got := added(test.content, test.next); got != test.want {
			t.Errorf("%q, then %q: %q", test.content, test.next, got)
		}
	}
}
