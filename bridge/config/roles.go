package config

// asksProviders reports whether this process asks or submits.
func (c *Config) AsksProviders() bool { return c.Has(RoleReconciler) || c.Has(RoleAdmin) }

// submits reports whether this process submits predictions.
func (c *Config) Submits() bool { return c.Has(RoleAdmin) && c.Ingress.PublicURL != "" }
