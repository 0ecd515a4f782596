package node

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	corev1listers "k8s.io/client-go/listers/core/v1"

	"confidential.summarizer.dev/sandbox/programs/virtualnode/internal/arm"
)

// lookUp reads what the pod refers to. `original` is the pod before its variables were resolved.
func lookUp(original *corev1.Pod, secrets corev1listers.SecretLister) (Inputs, error) {
	inputs := Inputs{SecretVariables: map[string]map[string]bool{}}
	for _, list := range [][]corev1.Container{original.Spec.InitContainers, original.Spec.Containers} {
		for i := range list {
			variables, err := secretVariables(&list[i], original.Namespace, secrets)
			if err != nil {
				return Inputs{}, err
			}
			inputs.SecretVariables[list[i].Name] = variables
		}
	}
	for _, reference := range original.Spec.ImagePullSecrets {
		secret, err := secrets.Secrets(original.Namespace).Get(reference.Name)
		if err != nil {
			return Inputs{}, fmt.Errorf("image pull secret %s: %w", reference.Name, err)
		}
		credentials, err := registryCredentials(secret)
		if err != nil {
			return Inputs{}, fmt.Errorf("image pull secret %s: %w", reference.Name, err)
		}
		inputs.Registries = append(inputs.Registries, credentials...)
	}
	return inputs, nil
}

// secretVariables names the variables of a container that hold something secret.
func secretVariables(container *corev1.Container, namespace string, secrets corev1listers.SecretLister) (map[string]bool, error) {
	variables := map[string]bool{}
	for _, source := range container.EnvFrom {
		if source.SecretRef == nil {
			continue
		}
		secret, err := secrets.Secrets(namespace).Get(source.SecretRef.Name)
		if err != nil {
			if source.SecretRef.Optional != nil && *source.SecretRef.Optional {
				continue
			}
			return nil, fmt.Errorf("secret %s of container %s: %w", source.SecretRef.Name, container.Name, err)
		}
		for key := range secret.Data {
			variables[source.Prefix+key] = true
		}
	}
	for _, variable := range container.Env {
		variables[variable.Name] = variable.ValueFrom != nil && variable.ValueFrom.SecretKeyRef != nil
	}
	return variables, nil
}

// registryCredentials reads a secret of type kubernetes.io/dockerconfigjson.
func registryCredentials(secret *corev1.Secret) ([]arm.RegistryCredential, error) {
	var document struct {
		Auths map[string]struct {
			Username string `json:"username"`
			Password string `json:"password"`
			Auth     []byte `json:"auth"` // base64 of "username:password"
		} `json:"auths"`
	}
	if err := json.Unmarshal(secret.Data[corev1.DockerConfigJsonKey], &document); err != nil {
		// The decoder's own text may quote what it read.
		return nil, fmt.Errorf("key %s holds no registry configuration", corev1.DockerConfigJsonKey)
	}
	var credentials []arm.RegistryCredential
	for server, entry := range document.Auths {
		credential := arm.RegistryCredential{Server: server, Username: entry.Username, Password: entry.Password}
		if username, password, found := strings.Cut(string(entry.Auth), ":"); credential.Username == "" && found {
			credential.Username, credential.Password = username, password
		}
		credentials = append(credentials, credential)
	}
	sort.Slice(credentials, func(i, j int) bool { return credentials[i].Server < credentials[j].Server })
	return credentials, nil
}
