package node

import (
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Describe fills in what makes the node one of "virtual nodes on Azure Container Instances".
//
// The label, not the taint, tells it from the older kind of virtual node, which has the same taint.
func Describe(target *corev1.Node, version, host, port string) error {
	kubeletPort, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		return fmt.Errorf("port %q: %w", port, err)
	}
	for name, value := range map[string]string{
		"virtualization":     "virtualnode2",
		"type":               "virtual-kubelet",
		"kubernetes.io/os":   "linux",
		"kubernetes.io/arch": "amd64",
		"node.kubernetes.io/exclude-from-external-load-balancers": "true",
	} {
		target.Labels[name] = value
	}
	for i := range target.Status.Conditions {
		// There is no machine behind the node that could be short of anything; readiness is the library's to report.
		target.Status.Conditions[i].Status = corev1.ConditionFalse
		target.Status.Conditions[i].Reason = "VirtualNode"
	}
	target.Spec.Taints = append(target.Spec.Taints,
		corev1.Taint{Key: "virtual-kubelet.io/provider", Value: "azure", Effect: corev1.TaintEffectNoSchedule})
	target.Status.Capacity = corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("1000"),
		corev1.ResourceMemory: resource.MustParse("4Ti"),
		corev1.ResourcePods:   resource.MustParse("200"), // the real node's limit
	}
	target.Status.Allocatable = target.Status.Capacity
	target.Status.Addresses = []corev1.NodeAddress{
		{Type: corev1.NodeInternalIP, Address: host},
		{Type: corev1.NodeHostName, Address: target.Name},
	}
	target.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(kubeletPort)
	target.Status.NodeInfo = corev1.NodeSystemInfo{
		KubeletVersion: version, OperatingSystem: "linux", Architecture: "amd64", ContainerRuntimeVersion: "aci://sandbox",
	}
	return nil
}
