// mono cli.exe URL [CALLS] [11|12|url]: exits 0 when the counter answers 1,2,3,...
// url: cookieless sessions; the first POST is answered with 302 and a Location /(id)/..., where the client repeats it and stays
using System;
using System.Net;
using System.Web.Services;
using System.Web.Services.Description;
using System.Web.Services.Protocols;
[WebServiceBinding(Name = "CounterSoap", Namespace = Ns)]
public class Counter : SoapHttpClientProtocol {
    const string Ns = "urn:lab:counter";
    string moved;
    [SoapDocumentMethod(Ns + "/Next", RequestNamespace = Ns, ResponseNamespace = Ns, Use = SoapBindingUse.Literal, ParameterStyle = SoapParameterStyle.Wrapped)]
    public int Next() { return (int)Invoke("Next", new object[0])[0]; }
    [SoapDocumentMethod(Ns + "/Close", RequestNamespace = Ns, ResponseNamespace = Ns, Use = SoapBindingUse.Literal, ParameterStyle = SoapParameterStyle.Wrapped)]
    public void Close() { Invoke("Close", new object[0]); }
    protected override WebResponse GetWebResponse(WebRequest q) {
        var r = (HttpWebResponse)base.GetWebResponse(q);
        if (r.StatusCode == HttpStatusCode.Found) moved = new Uri(q.RequestUri, r.Headers["Location"]).ToString();
        return r;
    }
    static int Main(string[] a) {
        int calls = a.Length > 1 ? int.Parse(a[1]) : 3, bad = 0;
        string mode = a.Length > 2 ? a[2] : "11";
        var c = new Counter { Url = a[0] };
        if (mode == "12") c.SoapVersion = SoapProtocolVersion.Soap12;
        if (mode != "url") c.CookieContainer = new CookieContainer();
        else try { c.Next(); } catch (Exception) { c.Url = c.moved ?? c.Url; Console.WriteLine("moved to {0}", c.Url); }
        for (int i = 1; i <= calls; i++) {
            if (i > 1) Console.Read();      // a test may hold it here
            try { int r = c.Next(); Console.WriteLine("call {0} -> {1}", i, r); if (r != i) bad = 1; }
            catch (Exception e) { Console.WriteLine("call {0} failed: {1}: {2}", i, e.GetType(), e.Message.Replace("\n", " ")); bad = 1; }
        }
        if (bad == 0) c.Close();
        return bad;
    }
}
