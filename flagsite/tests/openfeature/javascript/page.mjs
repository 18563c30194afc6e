// A page that uses @openfeature/ofrep-web-provider on @openfeature/web-sdk, as docs/openfeature.md says.
import { OpenFeature, ProviderEvents } from "@openfeature/web-sdk";
import { OFREPWebProvider } from "@openfeature/ofrep-web-provider";

const seen = { changed: [], errors: [], stale: 0 };
const client = OpenFeature.getClient();
client.addHandler(ProviderEvents.ConfigurationChanged, (event) => seen.changed.push(...event.flagsChanged));
client.addHandler(ProviderEvents.Error, (event) => seen.errors.push(event.message));
client.addHandler(ProviderEvents.Stale, () => (seen.stale += 1));

window.flagsite = {
  seen,
  async start({ url, key, context }) {
    await OpenFeature.setContext(context);
    const provider = new OFREPWebProvider({
      baseUrl: url,
      headers: [["Authorization", `Bearer ${key}`]],
      cacheKeyGenerator: (parts) => JSON.stringify(parts), // its own looks at the targeting key alone
    });
    await OpenFeature.setProviderAndWait(provider).catch((error) => seen.errors.push(String(error)));
    return client.providerStatus;
  },
  move: (context) => OpenFeature.setContext(context),
  details: (flag, otherwise) => client.getBooleanDetails(flag, otherwise),
};
