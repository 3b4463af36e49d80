import { renderVault } from '@sallyport/console'
import { requirePerson } from './admission.ts'
import { makeFrame, signedIn, type Site, type SiteApp, toSignIn } from './site.ts'

/** What is protected, and what it would cost to lose it: nothing here changes anything. */
export function addVaultRoutes(app: SiteApp, site: Site): void {
  const { control } = site.ports
  app.get('/vault', async (context) => {
    if (signedIn(context) === null) return toSignIn(context)
    return context.html(renderVault(await makeFrame(site, context), await control.vaultTargets()))
  })
  app.get('/vault/targets', async (context) => {
    requirePerson(context.get('visitor'))
    return context.json(await control.vaultTargets())
  })
}
