package node

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/virtual-kubelet/virtual-kubelet/errdefs"
	"github.com/virtual-kubelet/virtual-kubelet/log"
	"github.com/virtual-kubelet/virtual-kubelet/node/api"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	corev1listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/record"
	statsv1alpha1 "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"confidential.summarizer.dev/sandbox/programs/virtualnode/internal/arm"
)

// sweepPeriod is how often groups are looked for whose pods are gone.
const sweepPeriod = 30 * time.Second

// Groups is the part of Azure Resource Manager that the node uses.
type Groups interface {
	Get(ctx context.Context, name string) (*arm.Group, error)
	Put(ctx context.Context, name string, group *arm.Group) error
	Delete(ctx context.Context, name string) error
	List(ctx context.Context) ([]arm.Group, error)
	Logs(ctx context.Context, group, container string, tail int, timestamps bool) (string, error)
}

// Provider runs pods as container groups, one keeper for each.
type Provider struct {
	arm      Groups
	settings Settings
	pace     pace
	kube     kubernetes.Interface
	pods     corev1listers.PodLister
	secrets  corev1listers.SecretLister
	recorder record.EventRecorder

	ctx     context.Context // ends when the node stops
	mutex   sync.Mutex
	keepers map[types.UID]*keeper
	notify  func(*corev1.Pod)
}

// NewProvider makes a provider whose keepers work until the context ends.
func NewProvider(
	ctx context.Context, groups Groups, settings Settings, kube kubernetes.Interface,
	pods corev1listers.PodLister, secrets corev1listers.SecretLister, recorder record.EventRecorder,
) *Provider {
	return &Provider{
		arm: groups, settings: settings, pace: ordinaryPace, kube: kube, pods: pods, secrets: secrets, recorder: recorder,
		ctx: ctx, keepers: map[types.UID]*keeper{}, notify: func(*corev1.Pod) {},
	}
}

// NotifyPods takes the function that carries statuses to Kubernetes.
func (p *Provider) NotifyPods(_ context.Context, notify func(*corev1.Pod)) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.notify = notify
}

// CreatePod begins to look after a pod. It never fails: what goes wrong later shows as events and as the pod's status.
func (p *Provider) CreatePod(_ context.Context, pod *corev1.Pod) error {
	p.keep(pod, false)
	return nil
}

// UpdatePod takes over labels and annotations. A group that exists stays as it is, as a running pod does.
func (p *Provider) UpdatePod(_ context.Context, pod *corev1.Pod) error {
	p.keep(pod, false).replace(pod)
	return nil
}

// DeletePod takes the group away in the background; the pod object goes after it.
func (p *Provider) DeletePod(_ context.Context, pod *corev1.Pod) error {
	p.keep(pod, true)
	return nil
}

// GetPod returns the pod as it is looked after.
//
// While Kubernetes has a pod of that name, only that very one counts: another of the same name, left from before, is
// taken away and not mistaken for it.
func (p *Provider) GetPod(_ context.Context, namespace, name string) (*corev1.Pod, error) {
	current := p.current(namespace, name)
	p.mutex.Lock()
	defer p.mutex.Unlock()
	var found *keeper
	for uid, keeper := range p.keepers {
		pod := keeper.snapshot()
		if pod.Namespace != namespace || pod.Name != name {
			continue
		}
		if current != nil && current.UID != uid {
			keeper.doom()
			continue
		}
		found = keeper
	}
	if found == nil {
		return nil, errdefs.NotFoundf("pod %s/%s is not on this node", namespace, name)
	}
	return found.snapshot(), nil
}

// GetPodStatus returns the status as it was reported last.
func (p *Provider) GetPodStatus(ctx context.Context, namespace, name string) (*corev1.PodStatus, error) {
	pod, err := p.GetPod(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	return &pod.Status, nil
}

// GetPods returns all pods that are looked after.
func (p *Provider) GetPods(context.Context) ([]*corev1.Pod, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	pods := make([]*corev1.Pod, 0, len(p.keepers))
	for _, keeper := range p.keepers {
		pods = append(pods, keeper.snapshot())
	}
	return pods, nil
}

// Sweep deletes, now and then, the groups of this node whose pods are gone, as after a time in which the node was down.
// It must not be called before the pods are known.
func (p *Provider) Sweep() {
	ticker := time.NewTicker(sweepPeriod)
	defer ticker.Stop()
	for {
		p.sweepOnce()
		select {
		case <-p.ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (p *Provider) sweepOnce() {
	groups, err := p.arm.List(p.ctx)
	if err != nil {
		log.G(p.ctx).WithError(err).Warn("groups cannot be listed; those without a pod stay for now")
		return
	}
	for i := range groups {
		group := &groups[i]
		uid, ours := podOf(group, p.settings.Node)
		namespace, name := group.Tags[tagNamespace], group.Tags[tagPodName]
		if !ours || namespace == "" || name == "" {
			continue
		}
		if current := p.current(namespace, name); current != nil && current.UID == uid {
			continue
		}
		// The name of the group follows from the pod's, so the pod that a keeper needs can be made up.
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: uid}}
		p.logger(p.ctx, group.Name).Info("the group's pod is gone")
		p.keep(pod, true)
	}
}

// keep finds the pod's keeper, or starts one.
func (p *Provider) keep(pod *corev1.Pod, doomed bool) *keeper {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	known, found := p.keepers[pod.UID]
	if !found {
		known = newKeeper(p, pod)
		known.doomed = doomed
		p.keepers[pod.UID] = known
		go known.run(p.ctx)
	} else if doomed {
		known.doom()
	}
	return known
}

func (p *Provider) forget(k *keeper) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	delete(p.keepers, k.uid)
}

// current is the pod of that name that Kubernetes has now, or nil.
func (p *Provider) current(namespace, name string) *corev1.Pod {
	pod, err := p.pods.Pods(namespace).Get(name)
	if err != nil {
		return nil
	}
	return pod
}

// original is the pod with its references to secrets still in it.
func (p *Provider) original(pod *corev1.Pod) *corev1.Pod {
	if current := p.current(pod.Namespace, pod.Name); current != nil && current.UID == pod.UID {
		return current
	}
	return pod
}

// statusOf is the pod's status as Kubernetes has it, where others may have written too, or else as reported last.
func (p *Provider) statusOf(pod *corev1.Pod) corev1.PodStatus {
	if current := p.current(pod.Namespace, pod.Name); current != nil && current.UID == pod.UID {
		return current.Status
	}
	return pod.Status
}

func (p *Provider) logger(ctx context.Context, group string) log.Logger {
	return log.G(ctx).WithField("group", group)
}

// GetContainerLogs reads, or follows, what a container writes.
func (p *Provider) GetContainerLogs(
	ctx context.Context, namespace, name, container string, options api.ContainerLogOpts,
) (io.ReadCloser, error) {
	pod := p.current(namespace, name)
	if pod == nil {
		return nil, errdefs.NotFoundf("pod %s/%s does not exist", namespace, name)
	}
	if err := containerOf(pod, container); err != nil {
		return nil, errdefs.AsNotFound(err)
	}
	return openLog(ctx, p.arm, GroupName(pod), container, options)
}

var errNotOffered = errors.New("the sandbox's virtual node offers no exec, attach or port-forward:" +
	" the policy of a confidential group decides what may run in it, and use the pod's address to reach its ports")

// RunInContainer is not offered.
func (p *Provider) RunInContainer(context.Context, string, string, string, []string, api.AttachIO) error {
	return errNotOffered
}

// AttachToContainer is not offered.
func (p *Provider) AttachToContainer(context.Context, string, string, string, api.AttachIO) error {
	return errNotOffered
}

// PortForward is not offered, as on the real virtual node.
func (p *Provider) PortForward(context.Context, string, string, int32, io.ReadWriteCloser) error {
	return errNotOffered
}

// GetStatsSummary names the node and nothing else: container groups tell nothing of what they use.
func (p *Provider) GetStatsSummary(context.Context) (*statsv1alpha1.Summary, error) {
	return &statsv1alpha1.Summary{Node: statsv1alpha1.NodeStats{NodeName: p.settings.Node}}, nil
}

// GetMetricsResource has nothing to tell, for the same reason.
func (p *Provider) GetMetricsResource(context.Context) ([]*dto.MetricFamily, error) {
	return nil, nil
}
