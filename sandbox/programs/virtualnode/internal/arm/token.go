package arm

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	loginEndpoint = "https://login.microsoftonline.com"

	// renewBefore is how long before its end a token is no longer used.
	renewBefore = 5 * time.Minute
)

// TokenSource hands out bearer tokens for Azure Resource Manager.
type TokenSource interface {
	Get(ctx context.Context) (string, error)
	// Forget drops a token that was refused.
	Forget()
}

// ClientCredentials signs in as an application with its secret (OAuth 2.0, section 4.4 of RFC 6749).
type ClientCredentials struct {
	HTTP         *http.Client
	Tenant       string
	ClientID     string
	ClientSecret string

	mutex   sync.Mutex
	token   string
	expires time.Time
}

// Get returns the token at hand, or asks for another when its end is near.
func (c *ClientCredentials) Get(ctx context.Context) (string, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.token != "" && time.Now().Before(c.expires) {
		return c.token, nil
	}
	form := url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {c.ClientID},
		"client_secret": {c.ClientSecret},
		"scope":         {Endpoint + "/.default"},
	}
	address := fmt.Sprintf("%s/%s/oauth2/v2.0/token", loginEndpoint, c.Tenant)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := c.HTTP.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
		Error       string `json:"error"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maximumBody)).Decode(&answer); err != nil {
		return "", fmt.Errorf("%s answered %s: %w", loginEndpoint, response.Status, err)
	}
	if answer.AccessToken == "" {
		return "", fmt.Errorf("%s answered %s: %s", loginEndpoint, response.Status, answer.Error)
	}
	c.token = answer.AccessToken
	c.expires = time.Now().Add(time.Duration(answer.ExpiresIn)*time.Second - renewBefore)
	return c.token, nil
}

// Forget drops the token at hand.
func (c *ClientCredentials) Forget() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.token = ""
}
